//! How much memory work may take.

/// Half of the memory that is free, in bytes: the limit where none is given; 4 GiB where the system
/// does not say.
pub fn default_limit() -> u64 {
    free().map_or(4 << 30, |bytes| bytes / 2)
}

fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
