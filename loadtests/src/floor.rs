//! The bare cost of delivering a frame: a loop of `send` to loopback sockets, drained on another
//! core. A server that writes each frame with one call for each socket cannot be cheaper on this
//! machine.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    buffer::spare_capacity,
    event::epoll,
    net::{RecvFlags, SendFlags, recv, send},
    time::{ClockId, Timespec, clock_gettime},
};

use crate::cores;

/// The settings of a measurement.
#[derive(Clone, Copy)]
pub struct FloorPlan {
    pub sockets: usize,
    /// Size of a frame in bytes.
    pub bytes: usize,
    pub seconds: f64,
    /// Rounds over all sockets per second; `None` is as fast as possible. A paced loop also pays
    /// for waking the reader.
    pub rounds_per_second: Option<f64>,
}

/// The cost of a `send`.
#[derive(Clone, Copy)]
pub struct Floor {
    /// CPU time of the sending thread in µs for each `send`.
    pub us_per_send: f64,
    pub sends_per_second: f64,
    /// Whether sender and reader had separate cores.
    pub pinned: bool,
}

/// Each socket has both ends in this process. Some descriptors are reserved for other use.
const MOST_SOCKETS: usize = 9_800;
/// The interval at which the reader checks whether to stop.
const READER_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Measures in separate threads, and returns when they have ended.
///
/// # Errors
/// When the sockets cannot be created.
pub fn measure(plan: FloorPlan) -> Result<Floor> {
    ensure!(
        (1..=MOST_SOCKETS).contains(&plan.sockets),
        "the floor takes 1 to {MOST_SOCKETS} sockets"
    );
    let (writers, readers) = positions(plan.sockets)?;
    let cores = cores::first_two();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let stop = stop.clone();
        move || drain(&readers, cores.map(|(_, second)| second), &stop)
    });
    let sender = thread::spawn(move || send_all(&writers, plan, cores.map(|(first, _)| first)));
    let sent = sender.join().expect("the sender does not panic");
    stop.store(true, Ordering::Relaxed);
    reader.join().expect("the reader does not panic")?;
    let (sends, cpu, wall) = sent?;
    Ok(Floor {
        us_per_send: cpu.as_secs_f64() * 1e6 / sends as f64,
        sends_per_second: sends as f64 / wall.as_secs_f64(),
        pinned: cores.is_some(),
    })
}

fn positions(count: usize) -> Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for the floor")?;
    let addr = listener.local_addr().context("read the floor's address")?;
    let (mut writers, mut readers) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let reader = TcpStream::connect(addr).context("connect for the floor")?;
        reader.set_nonblocking(true).context("set up a reader")?;
        readers.push(reader);
        let (writer, _) = listener.accept().context("accept for the floor")?;
        writer.set_nodelay(true).context("set up a writer")?;
        writers.push(writer);
    }
    Ok((writers, readers))
}

fn send_all(
    sockets: &[TcpStream],
    plan: FloorPlan,
    core: Option<usize>,
) -> Result<(u64, Duration, Duration)> {
    core.into_iter().for_each(cores::pin);
    let frame = vec![b'x'; plan.bytes];
    let round_every = plan.rounds_per_second.map(|rounds| Duration::from_secs_f64(1.0 / rounds));
    let began = Instant::now();
    let cpu_before = thread_cpu();
    let mut rounds: u32 = 0;
    while began.elapsed().as_secs_f64() < plan.seconds {
        for socket in sockets {
            send(socket, &frame, SendFlags::NOSIGNAL).context("send")?;
        }
        rounds += 1;
        if let Some(every) = round_every {
            thread::sleep((every * rounds).saturating_sub(began.elapsed()));
        }
    }
    let cpu = thread_cpu().saturating_sub(cpu_before);
    Ok((u64::from(rounds) * sockets.len() as u64, cpu, began.elapsed()))
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn drain(sockets: &[TcpStream], core: Option<usize>, stop: &AtomicBool) -> Result<()> {
    core.into_iter().for_each(cores::pin);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).context("create an epoll")?;
    for (index, socket) in sockets.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&poll, socket, data, epoll::EventFlags::IN).context("watch a reader")?;
    }
    let mut events = Vec::with_capacity(1024);
    let mut bytes = vec![0_u8; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), Some(&READER_WAIT)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for frames"),
        }
        for event in &events {
            let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if let Some(socket) = sockets.get(index) {
                // The poll is level-triggered: remaining bytes and temporary failures are reported
                // again.
                let _ = recv(socket, &mut bytes[..], RecvFlags::empty());
            }
        }
    }
    Ok(())
}
