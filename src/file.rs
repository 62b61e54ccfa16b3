//! Files that are either whole or absent.
//!
//! A writer fills a temporary file in the directory of the target and renames it
//! at the end, so that a reader, or a crash at any moment, never meets half a file.
//! A symbolic link stays one: the file it leads to is replaced. A pipe or a device
//! is written to as it is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const SUFFIX: &str = ".slnn-tmp";
/// Letters and digits between the name of the target and the suffix.
const DRAWN: usize = 6;

fn directory_and_name(path: &Path) -> Result<(PathBuf, String)> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(
            path.display().to_string(),
            "no file name",
            "a path that ends in a file name",
        )
    })?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    Ok((directory, name.to_string_lossy().into_owned()))
}

/// The file that a path leads to through symbolic links, whether it exists or not; `None` where
/// that is a pipe or a device, which cannot be replaced.
///
/// # Errors
/// When it is a directory, or the links lead in a circle or are beyond reading.
fn target(path: &Path) -> Result<Option<PathBuf>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Error::invalid(path.display().to_string(), "a folder", "the name of a file"))
        }
        Ok(found) if !found.is_file() => Ok(None),
        Ok(_) => path.canonicalize().map(Some).map_err(|e| Error::io(path, e)),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        // Nothing there, or a link to what is not there yet. A circle of links is an error above.
        Err(_) => {
            let mut path = path.to_path_buf();
            while let Ok(next) = std::fs::read_link(&path) {
                path = path.parent().unwrap_or(Path::new("")).join(next);
            }
            Ok(Some(path))
        }
    }
}

/// That a file can be read more than once, which a pipe cannot.
///
/// # Errors
/// When it cannot, or there is none.
pub fn check_rereadable(path: &Path) -> Result<()> {
    let found = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if found.is_file() || found.is_dir() {
        return Ok(());
    }
    let expected = "a file, which is read more than once: write it into one first";
    Err(Error::invalid(path.display().to_string(), "a pipe or a device", expected))
}

/// Whether [`write_atomically`] could write `path`: a file is made beside it and removed.
///
/// # Errors
/// When it could not.
pub fn check_writable(path: &Path) -> Result<()> {
    let Some(target) = target(path)? else { return Ok(()) };
    temporary(&target).map(|_| ()).map_err(|e| Error::io(path, e))
}

/// A temporary file beside `target`, removed again unless it is renamed.
fn temporary(target: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let (directory, name) = directory_and_name(target).map_err(std::io::Error::other)?;
    let mut builder = tempfile::Builder::new();
    let (prefix, suffix) = (format!(".{name}."), SUFFIX);
    builder.prefix(&prefix).suffix(suffix).rand_bytes(DRAWN);
    // Temporary files are private by default; the target gets the usual permissions.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}

/// Removes temporary files that an interrupted write of `path` left behind; returns how many.
///
/// # Errors
/// When the directory cannot be listed or a file cannot be removed.
pub fn remove_stale(path: &Path) -> Result<usize> {
    let Some(target) = target(path)? else { return Ok(0) };
    let (directory, name) = directory_and_name(&target)?;
    let prefix = format!(".{name}.");
    let is_temporary = |file: &str| {
        let drawn = file.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(SUFFIX));
        drawn.is_some_and(|drawn| drawn.len() == DRAWN && drawn.chars().all(char::is_alphanumeric))
    };
    let mut removed = 0;
    for entry in std::fs::read_dir(&directory).map_err(|e| Error::io(&directory, e))? {
        let entry = entry.map_err(|e| Error::io(&directory, e))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if is_temporary(&file) {
            std::fs::remove_file(entry.path()).map_err(|e| Error::io(entry.path(), e))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Writes `path` through `fill`, atomically: the target is replaced whole or left untouched.
///
/// A pipe or a device is not replaced but written to, and then nothing is atomic.
///
/// # Errors
/// Those of `fill`, and when the file cannot be created, synced or renamed.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let at = |source| Error::io(path, source);
    let Some(target) = target(path)? else {
        let file = File::options().write(true).open(path).map_err(at)?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        return fill(&mut writer).and_then(|()| writer.flush()).map_err(at);
    };
    replace(path, &target, staged(path, &target, fill)?)
}

/// A temporary file beside `target` with what `fill` writes, on the disk.
fn staged(
    path: &Path,
    target: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<tempfile::NamedTempFile> {
    let at = |source| Error::io(path, source);
    let mut writer = BufWriter::with_capacity(1 << 16, temporary(target).map_err(at)?);
    fill(&mut writer).map_err(at)?;
    let file = writer.into_inner().map_err(|e| at(e.into_error()))?;
    file.as_file().sync_all().map_err(at)?;
    Ok(file)
}

/// Puts a staged file in the place of the target, to survive a power cut.
fn replace(path: &Path, target: &Path, file: tempfile::NamedTempFile) -> Result<()> {
    file.persist(target).map_err(|e| Error::io(path, e.error))?;
    // Not every file system can sync a directory.
    if let Ok((directory, _)) = directory_and_name(target)
        && let Ok(handle) = File::open(directory)
    {
        let _ = handle.sync_all();
    }
    Ok(())
}

/// Writes texts to several files, atomically as [`write_atomically`] each, and none of them unless all
/// can be written.
///
/// # Errors
/// When a file cannot be created, synced or renamed.
pub fn write_together(files: &[(&Path, String)]) -> Result<()> {
    let mut ready = Vec::new();
    let mut direct = Vec::new();
    for (path, text) in files {
        let Some(target) = target(path)? else {
            direct.push((path, text));
            continue;
        };
        let file = staged(path, &target, |out| out.write_all(text.as_bytes()))?;
        ready.push((path, target, file));
    }
    // What cannot be taken back comes first: where it fails, nothing else has been replaced.
    for (path, text) in direct {
        write_atomically(path, |out| out.write_all(text.as_bytes()))?;
    }
    ready.into_iter().try_for_each(|(path, target, file)| replace(path, &target, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.json");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_devices_stay_devices() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("folder/old.json"), b"old").unwrap();
        symlink("folder/old.json", at("link")).unwrap();
        symlink("folder/new.json", at("dangling")).unwrap();
        symlink("dangling", at("twice")).unwrap();
        symlink("circle", at("circle")).unwrap();
        for (link, file) in [("link", "folder/old.json"), ("twice", "folder/new.json")] {
            write_atomically(&at(link), |w| w.write_all(b"new")).unwrap();
            assert!(at(link).is_symlink() && !at(file).is_symlink());
            assert_eq!(std::fs::read(at(file)).unwrap(), b"new");
        }
        assert!(at("dangling").is_symlink());
        assert!(write_atomically(&at("circle"), |w| w.write_all(b"new")).is_err());
        assert!(write_atomically(&at("folder"), |w| w.write_all(b"new")).is_err());
        let null = Path::new("/dev/null");
        write_atomically(null, |w| w.write_all(b"new")).unwrap();
        assert!(std::fs::metadata(null).unwrap().file_type().is_char_device());
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let directory = tempfile::tempdir().unwrap();
        check_writable(&directory.path().join("new")).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(check_writable(&directory.path().join("absent/new")).is_err());
        assert!(check_writable(directory.path()).is_err());
    }

    #[test]
    fn stale_files_of_the_same_target_are_removed_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.json");
        let others = [".other.json.abcdef.slnn-tmp", ".model.json.part.abcdef.slnn-tmp"];
        for name in others {
            std::fs::write(directory.path().join(name), b"half").unwrap();
        }
        // What an interrupted writer leaves.
        temporary(&path).unwrap().keep().unwrap();
        assert_eq!(remove_stale(&path).unwrap(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), others.len());
    }
}
