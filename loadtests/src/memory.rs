//! The parts of a server's memory: the pages of its processes by mapping, and the kernel's memory
//! for sockets, which belongs to no process.

use std::fs;

use crate::report::Report;

/// Kernel objects of a connection: socket, inode, file and epoll entry. Directory entries are left
/// out, because their cache grows by thousands whenever any program lists files.
const SLABS: [&str; 4] = ["TCP", "sock_inode_cache", "filp", "eventpoll_epi"];

/// One reading of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// The heap that the allocator grows with `brk`.
    pub heap: u64,
    /// Anonymous mappings: other arenas of the allocator, and stacks of threads.
    pub anonymous: u64,
    /// Resident pages of the program and its libraries.
    pub files: u64,
}

/// One reading of the kernel's memory for all sockets of this machine, in KiB. A loopback
/// connection counts with both ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelMemory {
    /// TCP buffers in use.
    pub buffers: u64,
    /// The objects of `SLABS`, or `None` when the process may not read them.
    pub objects: Option<u64>,
}

/// The first readings, which later ones are compared with.
pub struct MemoryBaseline {
    processes: Vec<(u32, String, ProcessMemory)>,
    kernel: KernelMemory,
}

impl ProcessMemory {
    /// Reads resident pages from the text of `/proc/<pid>/smaps`.
    #[must_use]
    pub fn from_smaps(smaps: &str) -> Self {
        let mut memory = Self::default();
        let mut of_file = false;
        let mut name = "";
        for line in smaps.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                ["Rss:", kib, "kB"] => {
                    let kib: u64 = kib.parse().unwrap_or(0);
                    match name {
                        "[heap]" => memory.heap += kib,
                        _ if of_file => memory.files += kib,
                        _ => memory.anonymous += kib,
                    }
                }
                // Address, permissions, offset, device, inode, and a name for some mappings.
                [range, _, _, _, inode, ref path @ ..]
                    if range.contains('-') && !range.ends_with(':') =>
                {
                    of_file = inode != "0";
                    name = path.first().copied().unwrap_or_default();
                }
                _ => {}
            }
        }
        memory
    }

    fn read(pid: u32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/smaps")).ok().map(|smaps| Self::from_smaps(&smaps))
    }
}

impl KernelMemory {
    fn read() -> Self {
        let sockets = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        let pages = sockets.lines().find_map(|line| line.strip_prefix("TCP:")).and_then(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
            words.nth(1)?.parse::<u64>().ok()
        });
        let page_kib = rustix::param::page_size() as u64 / 1024;
        let objects = fs::read_to_string("/proc/slabinfo").ok().map(|slabs| objects_kib(&slabs));
        Self { buffers: pages.unwrap_or(0) * page_kib, objects }
    }
}

/// The active objects of the caches in [`SLABS`], times their size.
fn objects_kib(slabinfo: &str) -> u64 {
    let bytes = slabinfo.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let name = fields.next()?;
        let active: u64 = fields.next()?.parse().ok()?;
        let size: u64 = fields.nth(1)?.parse().ok()?;
        SLABS.contains(&name).then_some(active * size)
    });
    bytes.sum::<u64>() / 1024
}

impl MemoryBaseline {
    /// Reads the processes and the kernel.
    #[must_use]
    pub fn read(pids: &[u32]) -> Self {
        let process = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            Some((*pid, name.trim().to_owned(), ProcessMemory::read(*pid)?))
        };
        Self { processes: pids.iter().filter_map(process).collect(), kernel: KernelMemory::read() }
    }

    /// Reports the growth since then, divided by the number of clients.
    pub fn report(&self, report: &mut Report, clients: usize) {
        let each = |before: u64, after: u64| {
            (after.cast_signed() - before.cast_signed()) as f64 / clients as f64
        };
        let mut figure = |name: String, value: f64| report.figure(&name, value, "KiB a client");
        for (pid, name, before) in &self.processes {
            let Some(after) = ProcessMemory::read(*pid) else { continue };
            figure(format!("heap_{name}_{pid}_kib"), each(before.heap, after.heap));
            figure(format!("anonymous_{name}_{pid}_kib"), each(before.anonymous, after.anonymous));
            figure(format!("files_{name}_{pid}_kib"), each(before.files, after.files));
        }
        let kernel = KernelMemory::read();
        figure(
            "kernel_buffers_both_ends_kib".to_owned(),
            each(self.kernel.buffers, kernel.buffers),
        );
        if let (Some(before), Some(after)) = (self.kernel.objects, kernel.objects) {
            figure("kernel_objects_both_ends_kib".to_owned(), each(before, after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_by_mapping() {
        let smaps = "\
5581a000-5581c000 r-xp 00001000 fe:00 4711                       /usr/bin/clinicwire
Size:                  8 kB
Rss:                   8 kB
Pss:                   4 kB
5590b000-5592c000 rw-p 00000000 00:00 0                          [heap]
Rss:                 100 kB
7f10c000-7f12c000 rw-p 00000000 00:00 0 
Rss:                  40 kB
VmFlags: rd wr mr mw me ac sd
7ffd1000-7ffd3000 rw-p 00000000 00:00 0                          [stack]
Rss:                  12 kB
";
        assert_eq!(
            ProcessMemory::from_smaps(smaps),
            ProcessMemory { heap: 100, anonymous: 52, files: 8 }
        );
    }

    #[test]
    fn kernel_objects_are_counted_by_size() {
        let slabs = "\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables
TCP                   10     14   2048   14    8 : tunables 0 0 0 : slabdata 1 1 0
filp                   8     16    256   16    1 : tunables 0 0 0 : slabdata 1 1 0
inode_cache         9000   9000    608   26    4 : tunables 0 0 0 : slabdata 346 346 0
";
        assert_eq!(objects_kib(slabs), (10 * 2048 + 8 * 256) / 1024);
    }
}
