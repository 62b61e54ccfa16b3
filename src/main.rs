//! The program `slnn`. Everything it does is in [`cli`], one file a verb.

#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
