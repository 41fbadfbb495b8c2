//! Which hash partition a value belongs to (`compute_partition_hash_value` in partbounds.c, `hash_bytes_extended`
//! in hashfn.c: Bob Jenkins' lookup3 with a 64-bit seed).

use super::literal::Literal;

/// `HASH_PARTITION_SEED` in partition.h.
const SEED: u64 = 0x7A5B_2236_7996_DCFD;

/// Whether the value of a key of one column belongs to the partition; `None` for types that are hashed in a way
/// that is not known here.
pub(super) fn belongs(value: &Literal, type_name: &str, modulus: u64, remainder: u64) -> Option<bool> {
    if modulus == 0 {
        return None;
    }
    // A NULL is left out of the hash.
    let hash = if *value == Literal::Null { 0 } else { combine(0, extended(value, type_name)?) };
    Some(hash % modulus == remainder)
}

fn extended(value: &Literal, type_name: &str) -> Option<u64> {
    match (type_name, value) {
        ("int2" | "int4", value) => {
            let number = i32::try_from(value.number()?).ok()?;
            Some(hash_word(number.cast_unsigned()))
        }
        ("int8", value) => {
            let number = i64::try_from(value.number()?).ok()?.cast_unsigned();
            let (low, high) = ((number & 0xffff_ffff) as u32, (number >> 32) as u32);
            // Equal numbers of different widths have equal hashes.
            let negative = number >> 63 == 1;
            Some(hash_word(low ^ if negative { !high } else { high }))
        }
        ("text" | "varchar", Literal::Text(text)) => Some(hash_bytes(text.as_bytes())),
        _ => None,
    }
}

/// `hash_combine64` in hashfn.h.
fn combine(a: u64, b: u64) -> u64 {
    a ^ b.wrapping_add(0x49a0_f4dd_15e5_a8e3).wrapping_add(a << 54).wrapping_add(a >> 7)
}

/// The state of the mixing, with the seed already in it.
fn seeded(length: u32) -> [u32; 3] {
    let start = 0x9e37_79b9_u32.wrapping_add(length).wrapping_add(3_923_095);
    let mut state = [start; 3];
    state[0] = state[0].wrapping_add((SEED >> 32) as u32);
    state[1] = state[1].wrapping_add((SEED & 0xffff_ffff) as u32);
    mix(&mut state);
    state
}

fn hash_word(word: u32) -> u64 {
    let mut state = seeded(4);
    state[0] = state[0].wrapping_add(word);
    finish(state)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = seeded(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let mut chunks = bytes.chunks_exact(12);
    for chunk in &mut chunks {
        for (slot, word) in state.iter_mut().zip(chunk.chunks_exact(4)) {
            *slot = slot.wrapping_add(little_endian(word));
        }
        mix(&mut state);
    }
    for (at, byte) in chunks.remainder().iter().enumerate() {
        // The lowest byte of the third word is reserved for the length.
        let (slot, shift) = if at < 8 { (at / 4, at % 4 * 8) } else { (2, (at - 8 + 1) * 8) };
        if let Some(slot) = state.get_mut(slot) {
            *slot = slot.wrapping_add(u32::from(*byte) << shift);
        }
    }
    finish(state)
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn mix(state: &mut [u32; 3]) {
    let [a, b, c] = state;
    for (x, y, z, turn) in [(0, 2, 1, 4), (1, 0, 2, 6), (2, 1, 0, 8), (0, 2, 1, 16), (1, 0, 2, 19), (2, 1, 0, 4)] {
        let mut words = [*a, *b, *c];
        let subtracted = words[x].wrapping_sub(words[y]);
        words[x] = subtracted ^ words[y].rotate_left(turn);
        words[y] = words[y].wrapping_add(words[z]);
        [*a, *b, *c] = words;
    }
}

fn finish(state: [u32; 3]) -> u64 {
    let mut words = state;
    for (x, y, turn) in [(2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24)] {
        words[x] = (words[x] ^ words[y]).wrapping_sub(words[y].rotate_left(turn));
    }
    u64::from(words[1]) << 32 | u64::from(words[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remainders by 7, from `satisfies_hash_partition` of a server.
    #[test]
    fn agrees_with_the_server() {
        let text = |text: &str| Literal::Text(text.to_owned());
        for (type_name, value, remainder) in [
            ("int4", Literal::Number(0), 4),
            ("int4", Literal::Number(1), 5),
            ("int4", Literal::Number(-1), 0),
            ("int4", Literal::Number(123_456), 3),
            ("int8", Literal::Number(5), 1),
            ("int8", Literal::Number(-1), 0),
            ("int8", Literal::Number(12_345_678_901), 1),
            ("int8", Literal::Number(-12_345_678_901), 1),
            ("text", text(""), 1),
            ("text", text("a"), 3),
            ("text", text("hello world"), 4),
            ("text", text("hello worlds!"), 1),
            ("text", text("größe und mehr als vierundzwanzig"), 5),
        ] {
            for candidate in 0..7 {
                let expected = Some(candidate == remainder);
                assert_eq!(belongs(&value, type_name, 7, candidate), expected, "{type_name} {value:?} {candidate}");
            }
        }
        assert_eq!(belongs(&Literal::Number(1), "numeric", 2, 0), None);
    }
}
