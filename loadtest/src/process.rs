//! What the system knows about a process: processor time and memory (proc(5)).

use std::{fs, time::Duration};

use rustix::{
    param::clock_ticks_per_second,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::failure::{Failure, Outcome, While};

/// Processor time that `pid` has used, user and system together. Its steps are those of the kernel's clock, 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).doing(format!("reading the times of {pid}"))?;
    // The second field is the program's name in parentheses, which may hold spaces; user time is the 14th field.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: Vec<u64> = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let [user, system] = ticks[..] else { return Err(Failure::new(format!("/proc/{pid}/stat: {stat}"))) };
    Ok(Duration::from_millis((user + system) * 1000 / clock_ticks_per_second().max(1)))
}

/// Memory of `pid` that is in RAM, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).doing(format!("reading the memory of {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// Open files of `pid`, connections included.
///
/// # Errors
/// When there is no such process.
pub fn open_files(pid: u32) -> Outcome<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Lets this process open as many files as the system allows: each connection is one.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_times_memory_and_files() {
        let pid = std::process::id();
        assert!(cpu(pid).is_ok() && resident(pid).is_ok_and(|bytes| bytes > 100_000));
        assert!(open_files(pid).is_ok_and(|files| files >= 3));
        assert!(cpu(u32::MAX).is_err());
    }
}
