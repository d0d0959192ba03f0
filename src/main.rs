//! The `turnpike` binary: arguments → settings → boot.

use std::process::ExitCode;
use turnpike::cli::flags::{self, Command};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    match flags::parse(&args, &mut flags::Machine) {
        Command::Serve(serve) => ExitCode::from(turnpike::shell::boot::run(*serve) as u8),
        Command::Print { text, code, to_stderr } => {
            turnpike::shell::print(&text, to_stderr);
            ExitCode::from(code)
        }
        Command::Signal { signal, target } => turnpike::shell::signal::send_to(signal, target),
    }
}
