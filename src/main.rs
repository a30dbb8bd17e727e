//! The `test-repair` command.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
