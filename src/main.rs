//! The `turnpike` binary: arguments → settings → boot.

use std::process::ExitCode;
use turnpike::cli::flags::{self, Command};
use turnpike::{cli, shell};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|a| a == "bench") {
        return cli::bench::main(std::env::args_os().skip(2));
    }
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    match flags::parse(&args, &mut flags::Machine) {
        Command::Serve(serve) => {
            let cli::flags::Serve { settings, config, notices, program, .. } = *serve;
            ExitCode::from(shell::boot::run(shell::boot::Start { settings, config, notices, program }) as u8)
        }
        Command::Print { text, code, to_stderr } => {
            shell::print(&text, to_stderr);
            ExitCode::from(code)
        }
        Command::Signal { program, argument } => match shell::signal::send(&argument) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => {
                shell::print(&format!("{program}: {refusal}\n"), true);
                ExitCode::FAILURE
            }
        },
    }
}
