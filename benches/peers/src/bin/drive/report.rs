//! The table, and beside each owed figure whether it holds.

use crate::{
    browser::Errand,
    sheet::{FLOOR, Sheet},
};

/// The places of the programs in the list; ours follow.
pub const SIGNED_JAR: usize = 1;
pub const TOWER_SESSIONS: usize = 2;

/// Prints the figures of every program.
pub fn print_figures(sheet: &Sheet, titles: &[&str], session_bytes: usize) {
    print_errand(
        sheet,
        titles,
        Errand::Write,
        &format!("session of {session_bytes} bytes read, changed and written on every event"),
    );
    print_errand(sheet, titles, Errand::Untouched, "untouched session: GET /health with the session's cookie");
    for (errand, what) in FOREIGN {
        println!("\n10 KB of foreign cookies around ours, {what}; read, changed and written");
        println!("{:18}{:>9}{:>9}{:>25}", "", "µs", "CPU µs", "more than without them");
        for (place, title) in titles.iter().enumerate() {
            let (figure, gap) = (sheet.figure(*errand, place), sheet.costs(*errand, Errand::Write, place));
            println!("{title:18}{:9.1}{:9.1}{:15.1} ±{:.1}", figure.wall, figure.cpu, gap.wall, gap.spread);
        }
    }
    println!("\ncold start and memory");
    println!("{:18}{:>12}{:>10}{:>12}{:>10}", "", "start ms", "of floor", "RSS KiB", "− floor");
    for (place, title) in titles.iter().enumerate() {
        let (start, resident) = (sheet.start_ms(place), sheet.resident_kib(place));
        let (of_floor, more) = (start / sheet.start_ms(FLOOR), resident - sheet.resident_kib(FLOOR));
        println!("{title:18}{start:12.2}{of_floor:10.3}{resident:12.0}{more:10.0}");
    }
}

fn print_errand(sheet: &Sheet, titles: &[&str], errand: Errand, what: &str) {
    println!("\n{what}");
    println!(
        "{:18}{:>9}{:>9}{:>16}{:>10}{:>9}{:>9}",
        "", "µs", "CPU µs", "adds µs", "adds CPU", "of (a)'s", "of (b)'s"
    );
    for (place, title) in titles.iter().enumerate() {
        let (figure, adds) = (sheet.figure(errand, place), sheet.adds(errand, place));
        print!("{title:18}{:9.1}{:9.1}", figure.wall, figure.cpu);
        if place == FLOOR {
            println!();
            continue;
        }
        print!("{:11.2} ±{:<4.2}{:9.2}", adds.wall, adds.spread, adds.cpu);
        for peer in [SIGNED_JAR, TOWER_SESSIONS] {
            print!("{:9.2}", adds.wall / sheet.adds(errand, peer).wall);
        }
        println!();
    }
}

/// Prints what ours owe; whether all of it holds.
pub fn print_owed(sheet: &Sheet, titles: &[&str]) -> bool {
    println!("\nowed");
    let (jar, tower) = (sheet.adds(Errand::Write, SIGNED_JAR).wall, sheet.adds(Errand::Write, TOWER_SESSIONS).wall);
    let mut all_hold = true;
    let mut owe = |title: &str, holds: bool, what: String| {
        println!("{} {title}: {what}", if holds { "PASS" } else { "FAIL" });
        all_hold &= holds;
    };
    for (place, title) in titles.iter().enumerate().skip(TOWER_SESSIONS + 1) {
        let adds = sheet.adds(Errand::Write, place).wall;
        let limit = jar / 4.0;
        owe(title, adds <= limit, format!("adds {adds:.2} µs, at most a quarter of what (a) adds: {limit:.2} µs"));
        owe(title, adds < tower, format!("adds {adds:.2} µs, less than what (b) adds: {tower:.2} µs"));
        let untouched = sheet.adds(Errand::Untouched, place).wall;
        owe(title, untouched < 1.0, format!("an untouched session adds {untouched:.2} µs, less than 1 µs"));
        for (errand, what) in FOREIGN {
            let cost = sheet.costs(*errand, Errand::Write, place).wall;
            owe(title, cost <= 100.0, format!("10 KB of foreign cookies, {what}, cost {cost:.1} µs, at most 100 µs"));
        }
        let start = sheet.start_ms(place) / sheet.start_ms(FLOOR);
        owe(title, start <= 1.15, format!("cold start {start:.3} of the floor's, at most 1.15"));
        let more = (sheet.resident_kib(place) - sheet.resident_kib(FLOOR)) / 1024.0;
        owe(title, more <= 2.0, format!("resident memory {more:.2} MiB over the floor's, at most 2 MiB"));
    }
    all_hold
}

const FOREIGN: &[(Errand, &str)] =
    &[(Errand::WriteAmongFew, "64 of 160 bytes"), (Errand::WriteAmongMany, "as many as fit")];
