//! Training survives being killed: no file is ever half-written, and what was interrupted goes on
//! to the same bytes as what was not.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

const EPOCHS: &str = "1500";

fn folder() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut table = String::from("a,b,y\n");
    for i in 0..60 {
        let (a, b) = (f64::from(i % 11) / 5.0 - 1.0, f64::from(i % 7) / 3.0 - 1.0);
        table.push_str(&format!("{a},{b},{}\n", a * a * b - b + 0.25));
    }
    fs::write(directory.path().join("table.csv"), table).unwrap();
    directory
}

fn train(directory: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slnn"));
    command
        .args(["train", "table.csv", "--target", "y", "--hidden", "6,4", "--degree", "3"])
        .args(["--batch", "16", "--epochs", EPOCHS, "--threads", "1", "--checkpoint-every", "5"])
        .args(["-o", "net.json"])
        .args(more)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs to the end; exit code and standard error.
fn run(directory: &Path, more: &[&str]) -> (i32, String) {
    let output = train(directory, more).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    (output.status.code().unwrap(), err)
}

fn uninterrupted() -> Vec<u8> {
    let directory = folder();
    assert_eq!(run(directory.path(), &[]).0, 0);
    fs::read(directory.path().join("net.json")).unwrap()
}

/// Every file that has its own name holds whole JSON; returns the names of the temporary ones.
fn check_files(directory: &Path) -> Vec<PathBuf> {
    let mut temporary = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".slnn-tmp") {
            temporary.push(path);
        } else if name != "table.csv" {
            let text = fs::read_to_string(&path).unwrap();
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            assert!(parsed.is_ok(), "{name} is half-written");
        }
    }
    temporary
}

fn wait_for(path: &Path, child: &mut Child) {
    let started = Instant::now();
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended without {}", path.display());
        assert!(started.elapsed() < Duration::from_secs(60), "no {}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_twenty_times_and_the_same_bytes() {
    let started = Instant::now();
    let expected = uninterrupted();
    let whole = started.elapsed();

    let directory = folder();
    let (net, checkpoint) =
        (directory.path().join("net.json"), directory.path().join("net.json.checkpoint"));
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let (mut kills, mut resumed) = (0, 0);
    while kills < 20 {
        resumed += usize::from(checkpoint.exists());
        let mut child = train(directory.path(), &["--resume"]).spawn().unwrap();
        // About a tenth of the run each, so that the twenty see more than one run through.
        std::thread::sleep(whole.mul_f64(rng.random_range(0.0..0.2)));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
        check_files(directory.path());
        if net.exists() && !checkpoint.exists() {
            assert!(fs::read(&net).unwrap() == expected, "other bytes after {kills} kills");
            fs::remove_file(&net).unwrap();
        }
    }
    assert!(resumed > 0, "no run found a checkpoint");
    let (code, err) = run(directory.path(), &["--resume"]);
    assert_eq!(code, 0, "{err}");
    assert!(fs::read(&net).unwrap() == expected, "other bytes at the end");
    assert!(!checkpoint.exists());
    assert_eq!(check_files(directory.path()), Vec::<PathBuf>::new());
}

#[test]
fn ctrl_c_saves_and_resuming_continues() {
    let expected = uninterrupted();
    let directory = folder();
    let checkpoint = directory.path().join("net.json.checkpoint");
    let mut child = train(directory.path(), &[]).spawn().unwrap();
    wait_for(&checkpoint, &mut child);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("--resume") && err.contains("Ctrl-C again"), "{err}");
    assert!(checkpoint.exists() && !directory.path().join("net.json").exists());

    // What changed since is named, and nothing is touched.
    let saved = fs::read(&checkpoint).unwrap();
    let (code, err) = run(directory.path(), &["--resume", "--learning-rate", "0.5"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("learning_rate") || err.contains("--learning-rate"), "{err}");
    let table = fs::read_to_string(directory.path().join("table.csv")).unwrap();
    fs::write(directory.path().join("table.csv"), format!("{table}0,0,0.5\n")).unwrap();
    let (code, err) = run(directory.path(), &["--resume"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("table"), "{err}");
    assert!(fs::read(&checkpoint).unwrap() == saved, "the checkpoint changed");

    fs::write(directory.path().join("table.csv"), table).unwrap();
    let (code, err) = run(directory.path(), &["--resume"]);
    assert_eq!(code, 0, "{err}");
    assert!(fs::read(directory.path().join("net.json")).unwrap() == expected, "other bytes");
    assert_eq!(check_files(directory.path()), Vec::<PathBuf>::new());
}

#[test]
fn resuming_without_a_checkpoint_starts_anew_and_says_so() {
    let directory = folder();
    let stale = directory.path().join(".net.json.checkpoint.left00.slnn-tmp");
    fs::write(&stale, "half").unwrap();
    let (code, err) = run(directory.path(), &["--resume"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("no checkpoint"), "{err}");
    assert!(!stale.exists(), "a stale temporary file was left");
}
