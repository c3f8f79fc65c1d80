//! Which needles are in this process's memory.

use std::{fs, os::unix::fs::FileExt};

use crate::needles::MASK;

/// Masked bytes to look for.
pub(crate) struct Masked {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The names of those that stand anywhere in memory that this process can write.
pub(crate) fn scan(needles: &[Masked]) -> Vec<String> {
    let memory = fs::File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut first = [false; 256];
    needles.iter().for_each(|needle| first[usize::from(needle.bytes[0])] = true);
    let mut found = vec![false; needles.len()];
    let mut buffer = vec![0_u8; PIECE + OVERLAP];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (mut at, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        while at < end {
            let length = buffer.len().min((end - at) as usize);
            if memory.read_exact_at(&mut buffer[..length], at).is_ok() {
                for start in (0..length.min(PIECE)).step_by(PAGE) {
                    let page = &buffer[start..length.min(start + PAGE + OVERLAP)];
                    if page[..page.len().min(PAGE)] != ZEROS[..page.len().min(PAGE)] {
                        look(page, at + start as u64, &own, &first, needles, &mut found);
                    }
                }
                // What the buffer holds of others, or of itself, it must not show again.
                buffer.fill(0);
            }
            at += PIECE as u64;
        }
    }
    needles.iter().zip(found).filter(|(_, found)| *found).map(|(needle, _)| needle.name.clone()).collect()
}

/// How much is read at once, and how much more, for what lies across a border.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 64;
const PAGE: usize = 4096;
/// Most of memory: not worth a look.
const ZEROS: [u8; PAGE] = [0; PAGE];

fn look(
    piece: &[u8],
    at: u64,
    own: &std::ops::Range<u64>,
    first: &[bool; 256],
    needles: &[Masked],
    found: &mut [bool],
) {
    for (place, byte) in piece.iter().enumerate() {
        if !first[usize::from(*byte ^ MASK)] || own.contains(&(at + place as u64)) {
            continue;
        }
        for (needle, found) in needles.iter().zip(&mut *found) {
            let piece = &piece[place..];
            if piece.len() >= needle.bytes.len()
                && piece.iter().zip(&needle.bytes).all(|(byte, masked)| byte ^ MASK == *masked)
            {
                *found = true;
            }
        }
    }
}
