//! The `turnpike` binary: arguments → settings → boot.

use std::ffi::OsString;
use std::process::ExitCode;
use turnpike::cli::flags::{self, Command};
use turnpike::{cli, policy, shell};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|a| a == "bench") {
        return cli::bench::main(std::env::args_os().skip(2));
    }
    let words = || std::env::args_os().skip(2).map(|a| a.to_string_lossy().into_owned()).collect::<Vec<String>>();
    match std::env::args_os().nth(1) {
        Some(a) if a == "explain" => return cli::explain::main(&words()),
        Some(a) if a == "doctor" => return cli::doctor::main(&words()),
        Some(a) if a == "unit" => return cli::unit::main(&words()),
        Some(a) if a == "migrate" => return cli::migrate::main(&words()),
        Some(a) if a == "reload" => return cli::reload::main(&words()),
        Some(a) if a == "man" => return cli::papers::main("man", &words()),
        Some(a) if a == "completions" => return cli::papers::main("completions", &words()),
        _ => {}
    }
    let given: Vec<OsString> = std::env::args_os().collect();
    let args: Vec<String> = given.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let hidden = shell::argv::overwrite(&given, &flags::secrets(&args));
    match flags::parse(&args, &mut flags::Machine) {
        Command::Serve(serve) => {
            let cli::flags::Serve { settings, config, overrides, mut notices, program } = *serve;
            if let Err(e) = hidden {
                notices.push(format!("`ps` shows the secrets of the command line ({e}): give them in a file instead"));
            }
            let file = config.clone();
            let load = Box::new(move || policy::load_with(file.as_deref(), &overrides, &mut flags::Machine));
            ExitCode::from(shell::boot::run(shell::boot::Start { settings, config, load, notices, program }) as u8)
        }
        Command::Print { text, code, to_stderr } => {
            print(&text, to_stderr);
            ExitCode::from(code)
        }
        Command::Compare { text, settings, against } => {
            print(&text, true);
            cli::against::main(&against, &settings)
        }
        Command::Signal { program, argument } => match shell::signal::send(&argument) {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => {
                print(&format!("{program}: {refusal}\n"), true);
                ExitCode::FAILURE
            }
        },
    }
}

/// Prints a command's whole answer.
fn print(text: &str, to_stderr: bool) {
    match to_stderr {
        true => eprint!("{text}"),
        false => print!("{text}"),
    }
}
