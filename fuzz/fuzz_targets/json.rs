//! Pushes in JSON, after decryption.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zhongkong::services::messages::fields::Format;

fuzz_target!(|push: &[u8]| zhongkong_fuzz::read_and_answer(Format::Json, push));
