//! `pixtral`: ask Pixtral-12B about pictures, on this machine.
//!
//! Each command has a module of its own; this file reads the arguments, catches Ctrl-C and turns
//! errors into one line and an exit code (1 for errors, 2 for usage, 130 for interrupts).

mod ask;
mod bench;
mod chat;
mod constraint;
mod conversation;
mod cost;
mod demo;
mod demo_model;
mod describe;
mod devices;
mod eval;
mod fit;
mod inspect;
mod load;
mod memory;
mod options;
mod pictures;
mod placement;
mod progress;
mod repl;
mod serve;
mod session_file;
mod show;
mod tokenize;
mod worker;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use pixtral_terminal::{Interrupt, exit};
use std::process::ExitCode;

/// Ask Pixtral-12B about pictures, on this machine, offline.
#[derive(Parser, Debug)]
#[command(name = "pixtral", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::DemoArgs),
    Describe(describe::DescribeArgs),
    Chat(chat::ChatArgs),
    Serve(serve::ServeArgs),
    Inspect(inspect::InspectArgs),
    Tokenize(tokenize::TokenizeArgs),
    Bench(bench::BenchArgs),
    Eval(eval::EvalArgs),
    Fit(fit::FitArgs),
    Devices(devices::DevicesArgs),
    Worker(worker::WorkerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let interrupt = Interrupt::install();
    let result = match &cli.command {
        Command::Demo(args) => demo::run(args, &interrupt),
        Command::Describe(args) => describe::run(args, &interrupt),
        Command::Chat(args) => chat::run(args, &interrupt),
        Command::Serve(args) => serve::run(args, &interrupt),
        Command::Inspect(args) => inspect::run(args, &interrupt),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Bench(args) => bench::run(args, &interrupt),
        Command::Eval(args) => eval::run(args, &interrupt),
        Command::Fit(args) => fit::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Worker(args) => worker::run(args, &interrupt),
    };
    exit(result)
}

/// Ends the program as clap does for a usage error of `command`.
fn usage_error(command: &str, message: &str) -> ! {
    let mut cli = Cli::command();
    cli.build();
    match cli.find_subcommand_mut(command) {
        Some(command) => command
            .error(ErrorKind::MissingRequiredArgument, message)
            .exit(),
        None => cli
            .error(ErrorKind::MissingRequiredArgument, message)
            .exit(),
    }
}
