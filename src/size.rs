//! size: bytes as people write them.

/// The units that are written, each 1024 of the one before.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// `1.2 GiB`
pub fn shown(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    // As it is rounded, so that nobody reads `1024.0 MiB`.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `20GiB`, `20G`, `1.5 gib`, `500MB`, or bytes.
///
/// # Errors
/// In words, for a text that is no size.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_uppercase();
    let thousands = unit.len() == 2 && unit.ends_with('B');
    let letter = unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(&unit);
    let power = match letter {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err("no such unit: write it as 500MiB, 20GiB or 1.5TiB".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "no size: write it as 500MiB, 20GiB or 1.5TiB".to_owned())?;
    let base: f64 = if thousands { 1000.0 } else { 1024.0 };
    // A float that is too large becomes the largest number.
    Ok((number * base.powi(power)).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("123", 123),
            ("123B", 123),
            ("2K", 2048),
            ("2KiB", 2048),
            ("2kb", 2000),
            ("1.5 GiB", 3 << 29),
            ("20GiB", 20 << 30),
            ("1T", 1 << 40),
            ("99999999999T", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1.2.3G", "20 apples", "1e9", "∞"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (20 << 30, "20.0 GiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }
}
