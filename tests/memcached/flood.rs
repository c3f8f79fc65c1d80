//! Servers that never stop talking.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread::JoinHandle,
};

use lambda_session::memcached::{Discovery, FailureKind, NodeId};
use socket2::SockRef;

use crate::support::{client, key, kind, minute, patient, run, soon};

/// What the kernel of either side may hold of a stream that nobody reads, with buffers of their first size.
const KERNEL_BYTES: usize = 1024 * 1024;
/// What one reading takes at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// Answers `version`, and then to the first other line with `head` and bytes without end. How many it got rid of.
struct Flood {
    name: String,
    thread: JoinHandle<usize>,
}

impl Flood {
    fn start(greeting: &'static str, head: &'static str, byte: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            SockRef::from(&stream).set_send_buffer_size(CHUNK_BYTES).unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let _ = lines.next();
            if !greeting.is_empty() {
                (&stream).write_all(greeting.as_bytes()).unwrap();
                let _ = lines.next();
            }
            let mut sent = (&stream).write(head.as_bytes()).unwrap_or(0);
            while let Ok(length @ 1..) = (&stream).write(&[byte; CHUNK_BYTES]) {
                sent += length;
            }
            sent
        });
        Self { name, thread }
    }
}

/// Scenarios 12, 22: whatever is claimed or sent, what is read of it is bounded; then the connection is closed.
#[test]
fn a_reply_without_end_is_read_to_its_limit_only() {
    run(async {
        const VERSION: &str = "VERSION 1.6.22\r\n";
        for (name, greeting, head, byte, limit) in [
            ("a greeting without end", "", "VERSION ", b'1', 0),
            ("a line without end", VERSION, "VA 5 ", b'x', 0),
            ("blanks without end", VERSION, "HD ", b' ', 0),
            ("line ends without end", VERSION, "", b'\n', 0),
            ("a length of nine quintillions", VERSION, "VA 9000000000000000000 c1\r\n", b'x', 0),
            ("more than the largest value", VERSION, "VA 1048577 c1\r\n", b'x', 0),
            ("the largest value, and no end of it", VERSION, "VA 1048576 c1\r\n", b'x', 1024 * 1024),
            ("an error without end", VERSION, "SERVER_ERROR ", b'x', 0),
        ] {
            let flood = Flood::start(greeting, head, byte);
            let client = client(patient(&flood.name));
            let read = client.get_and_touch(NodeId::of(&flood.name), &key("k"), minute(), soon()).await;
            assert_eq!(kind(read), FailureKind::Unavailable, "{name}");
            drop(client);
            let sent = flood.thread.join().unwrap();
            assert!(sent <= limit + CHUNK_BYTES + KERNEL_BYTES, "{name}: {sent} bytes");
        }
        let flood = Flood::start("", "VERSION 1.6.22\r\nCONFIG cluster 0 65536\r\n", b'x');
        let client = client(patient(&flood.name).discovery(Discovery::On));
        assert_eq!(kind(client.nodes(soon()).await), FailureKind::Unavailable);
        drop(client);
        let sent = flood.thread.join().unwrap();
        assert!(sent <= 2 * CHUNK_BYTES + KERNEL_BYTES, "a list without end: {sent} bytes");
    });
}
