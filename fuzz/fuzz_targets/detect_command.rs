#![no_main]
//! What a command printed: the first line of the input is the command, by which parsers tell tools apart.
use libfuzzer_sys::fuzz_target;
use test_repair::detect::Detector;

fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let command = String::from_utf8_lossy(&input[..cut]).into_owned();
    let output = input.get(cut + 1..).unwrap_or_default();
    let read = |size: usize, exit: i32| {
        let mut detector = Detector::for_command(&command, &["/tmp/x".to_owned()]);
        output.chunks(size).for_each(|chunk| detector.feed(chunk));
        detector.exited(exit);
        detector.finish()
    };
    let whole = read(usize::MAX, 1);
    assert_eq!(whole, read(5, 1));
    assert!(whole.iter().any(|job| !job.failures.is_empty()), "a command that failed has a failure");
    assert!(read(usize::MAX, 0).iter().all(|job| job.failures.is_empty()), "a command that passed has none");
    for failure in whole.iter().flat_map(|job| &job.failures) {
        assert!(failure.message.len() <= 2000 && failure.excerpt.len() <= 5000);
    }
});
