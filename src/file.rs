//! Files that are either whole or absent.
//!
//! A writer fills a temporary file in the directory of the target and renames it
//! at the end, so that a reader, or a crash at any moment, never meets half a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const SUFFIX: &str = ".slnn-tmp";

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

/// Removes temporary files that an interrupted write of `path` left behind; returns how many.
///
/// # Errors
/// When the directory cannot be listed or a file cannot be removed.
pub fn remove_stale(path: &Path) -> Result<usize> {
    let (directory, name) = directory_and_name(path)?;
    let prefix = format!(".{name}.");
    let mut removed = 0;
    for entry in std::fs::read_dir(&directory).map_err(|e| Error::io(&directory, e))? {
        let entry = entry.map_err(|e| Error::io(&directory, e))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.starts_with(&prefix) && file.ends_with(SUFFIX) {
            std::fs::remove_file(entry.path()).map_err(|e| Error::io(entry.path(), e))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Writes `path` through `fill`, atomically: the target is replaced whole or left untouched.
///
/// # Errors
/// Those of `fill`, and when the file cannot be created, synced or renamed.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let (directory, name) = directory_and_name(path)?;
    let at = |source| Error::io(path, source);
    let mut builder = tempfile::Builder::new();
    let (prefix, suffix) = (format!(".{name}."), SUFFIX);
    builder.prefix(&prefix).suffix(suffix);
    // Temporary files are private by default; the target gets the usual permissions.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(&directory).map_err(at)?;
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    fill(&mut writer).map_err(at)?;
    let file = writer.into_inner().map_err(|e| at(e.into_error()))?;
    file.as_file().sync_all().map_err(at)?;
    file.persist(path).map_err(|e| at(e.error))?;
    // The rename itself must survive a power cut; not every file system can sync a directory.
    if let Ok(handle) = File::open(&directory) {
        let _ = handle.sync_all();
    }
    Ok(())
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

    #[test]
    fn stale_files_of_the_same_target_are_removed_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        for name in [".model.json.abc.slnn-tmp", ".other.json.abc.slnn-tmp"] {
            std::fs::write(directory.path().join(name), b"half").unwrap();
        }
        assert_eq!(remove_stale(&directory.path().join("model.json")).unwrap(), 1);
        assert!(directory.path().join(".other.json.abc.slnn-tmp").exists());
    }
}
