//! What is printed.

use crate::{
    LANES,
    nodes::Nodes,
    reuse::{REQUESTS, Reuse},
    sheet::Sheet,
    work::Deed,
};

/// The places of the contenders in the list.
const BARE: usize = 1;
const PEERS: [usize; 2] = [2, 3];
const OURS: usize = 5;

/// How much of the bare exchange ours may take: at one connection, and at many.
const OWED: [(usize, f64); 2] = [(1, 1.10), (LANES, 1.15)];

pub fn print_figures(sheet: &Sheet) {
    for (lanes, _) in OWED {
        println!("\nµs a deed at {lanes} connection{}, and ratio to (ii)", if lanes == 1 { "" } else { "s" });
        print!("{:24}", "");
        Deed::ALL.iter().for_each(|deed| print!("{:>24}", deed.name()));
        println!();
        for (place, name) in sheet.names().iter().enumerate() {
            print!("{name:24}");
            for deed in Deed::ALL {
                let ratio = sheet.ratio(deed, lanes, place, BARE);
                print!("{:10.2}{:8.3} ±{:.2}", sheet.micros(deed, lanes, place), ratio.median, ratio.spread);
            }
            println!();
        }
    }
}

pub fn print_nodes(nodes: &Nodes) {
    let ([alone, listed, spread], [bare, bare_spread]) = (nodes.ours, nodes.bare);
    println!("\nµs a choice of a node and a read-and-touch, by nodes");
    println!("{:24}{:>12}{:>18}{:>18}", "", "1", "60, one asked", "60, all asked");
    println!("{:24}{bare:12.2}{:>18}{bare_spread:18.2}", "(ii) bare, without choice", "");
    println!("{:24}{alone:12.2}{listed:18.2}{spread:18.2}", "ours");
}

pub fn print_reuse(tls: &[Reuse], discovery: &[Reuse]) {
    println!("\nbesides the commands, in {REQUESTS} requests that read and write");
    println!("{:34}{:>12}{:>8}{:>9}{:>12}", "", "connections", "full", "resumed", "list bytes");
    for (what, rows) in [("TLS", tls), ("a list of 60", discovery)] {
        for Reuse { title, connections, full, resumed, bytes } in rows {
            println!("{:34}{connections:12}{full:8}{resumed:9}{bytes:12}", format!("{what}, {title}"));
        }
    }
}

/// Prints what is owed; whether all of it holds.
pub fn print_owed(sheet: &Sheet, nodes: &Nodes, tls: &[Reuse]) -> bool {
    println!("\nowed");
    let mut all_hold = true;
    let mut owe = |title: String, holds: bool, what: String| {
        println!("{} {title}: {what}", if holds { "PASS" } else { "FAIL" });
        all_hold &= holds;
    };
    for (lanes, limit) in OWED {
        for deed in Deed::ALL {
            let title = || format!("{} at {lanes}", deed.name());
            let ratio = sheet.ratio(deed, lanes, OURS, BARE).median;
            owe(title(), ratio <= limit, format!("{ratio:.3} of (ii), at most {limit:.2}"));
            for (peer, name) in PEERS.iter().filter_map(|&peer| Some((peer, sheet.names().get(peer)?))) {
                let ratio = sheet.ratio(deed, lanes, OURS, peer).median;
                owe(title(), ratio < 1.0, format!("{ratio:.3} of {name}, less than 1"));
            }
        }
    }
    let (list, spread) = (nodes.list, nodes.spread);
    owe("60 nodes, one asked".to_owned(), list <= FLAT, format!("{list:.3} of one node, at most {FLAT:.2}"));
    let what = format!("{spread:.3} of what they cost (ii), at most {FLAT:.2}");
    owe("60 nodes, all asked".to_owned(), spread <= FLAT, what);
    let full: usize = tls.iter().map(|row| row.full).sum();
    owe("full TLS handshakes".to_owned(), full == 1, format!("{full} in the life of an environment, at most 1"));
    let again: usize = tls.get(1).map_or(usize::MAX, |row| row.connections);
    owe("connections".to_owned(), again == 0, format!("{again} in {REQUESTS} requests of a warm environment, none"));
    all_hold
}

/// How much more than one node sixty may cost.
const FLAT: f64 = 1.10;
