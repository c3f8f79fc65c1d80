#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code, unused_imports, reason = "a target is one check of the file")]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::memcached_reply(data));
