//! What the system knows about a process: processor time and memory (proc(5)).

use std::{collections::BTreeMap, fs, time::Duration};

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

/// Named groups of processes, and what each group uses.
#[derive(Clone, Debug, Default)]
pub struct Meter(BTreeMap<&'static str, Vec<u32>>);

/// Processor time and memory of each group of a [`Meter`].
#[derive(Clone, Debug, Default)]
pub struct Usage(BTreeMap<&'static str, (Duration, u64)>);

impl Meter {
    /// Adds a process to the group `name`.
    #[must_use]
    pub fn with(mut self, name: &'static str, pid: u32) -> Self {
        self.0.entry(name).or_default().push(pid);
        self
    }

    /// Processor time so far and memory now.
    ///
    /// # Errors
    /// When a process has ended.
    pub fn read(&self) -> Outcome<Usage> {
        let mut usage = Usage::default();
        for (name, pids) in &self.0 {
            let group = usage.0.entry(name).or_default();
            for pid in pids {
                group.0 += cpu(*pid)?;
                group.1 += resident(*pid)?;
            }
        }
        Ok(usage)
    }
}

impl Usage {
    /// Processor time of a group since `before`; zero for a group that is not there.
    pub fn cpu_since(&self, before: &Self, name: &str) -> Duration {
        let of = |usage: &Self| usage.0.get(name).map_or(Duration::ZERO, |(cpu, _)| *cpu);
        of(self).saturating_sub(of(before))
    }

    /// Memory of a group in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |(_, memory)| *memory)
    }

    /// The groups.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_sums_its_groups() {
        let us = std::process::id();
        let meter = Meter::default().with("both", us).with("both", us).with("one", us);
        let usage = meter.read().expect("this process runs");
        assert!(usage.memory("both") > usage.memory("one") && usage.memory("none") == 0);
        assert_eq!(usage.cpu_since(&usage, "one"), Duration::ZERO);
        assert!(meter.with("gone", u32::MAX).read().is_err());
    }

    #[test]
    fn this_process_has_times_memory_and_files() {
        let pid = std::process::id();
        assert!(cpu(pid).is_ok() && resident(pid).is_ok_and(|bytes| bytes > 100_000));
        assert!(open_files(pid).is_ok_and(|files| files >= 3));
        assert!(cpu(u32::MAX).is_err());
    }
}
