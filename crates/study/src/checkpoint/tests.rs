//! What is kept comes back, and what is damaged does not.

use super::*;

fn checkpoint() -> Checkpoint {
    let epoch = EpochResult {
        epoch: 1,
        // Numbers that do not read back from few digits.
        train_loss: 0.1 + 0.2,
        valid_loss: f64::from_bits(0x3fe5_5555_5555_5555),
        valid_accuracy: 1.0 / 3.0,
        train_time_s: 1e-7,
        evaluation_time_s: 123.456,
    };
    let array = |name: &str, values: &[f32]| (name.to_owned(), vec![values.len()], values.to_vec());
    let state = State {
        epochs: vec![epoch],
        step: 3,
        loss_sum: 2.0_f64.sqrt(),
        train_time_s: 1.0 / 7.0,
        arrays: vec![array("fc1.bias", &[1.5, -0.0, f32::MIN_POSITIVE]), array("moment1/fc1.bias", &[0.1, 0.2, 0.3])],
    };
    let filters = vec![array("epoch-0/fc1.weight", &[1.0, 2.0])];
    Checkpoint { identity: "x".repeat(64), state, filters, spent: Spent::default().and(None, None, 0.3) }
}

#[test]
fn what_is_kept_comes_back_to_the_last_bit() {
    let kept = checkpoint();
    let again = Checkpoint::from_bytes(&kept.clone().into_bytes()).expect("it is whole");
    assert_eq!(again, kept);
    let bits = |checkpoint: &Checkpoint| checkpoint.state.arrays[0].2.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&again), bits(&kept));
}

#[test]
fn whatever_byte_is_lost_or_changed_is_seen() {
    let bytes = checkpoint().into_bytes();
    for end in 0..bytes.len() {
        assert!(Checkpoint::from_bytes(&bytes[..end]).is_err(), "cut to {end} bytes");
    }
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        assert!(Checkpoint::from_bytes(&other).is_err(), "byte {at} changed");
    }
    let refusal = |bytes: &[u8]| Checkpoint::from_bytes(bytes).expect_err("it is refused");
    for cut in [0, 40, 64, 100] {
        assert_eq!(refusal(&bytes[..cut]), "it is not what was written: its checksum is another");
    }
    // With a right checksum, whatever comes is refused too.
    let array = |metadata| safetensors::write_arrays(&[], metadata);
    for rest in [&b""[..], b"{}", &[255; 64], &array(None), &array(Some("{}"))] {
        let signed = [rest, sha256(rest).as_bytes()].concat();
        assert!(Checkpoint::from_bytes(&signed).is_err(), "{rest:?}");
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len() - SUM_BYTES]);
    assert!(text.contains("checkpoint\\\":1,"), "{text}");
    let later: Vec<u8> = {
        let rest = &bytes[..bytes.len() - SUM_BYTES];
        let at = rest.windows(15).position(|part| part == b"checkpoint\\\":1,").expect("it says its form");
        let mut rest = rest.to_vec();
        rest[at + 13] = b'7';
        [&rest[..], sha256(&rest).as_bytes()].concat()
    };
    assert_eq!(refusal(&later), "it is of form 7, expected 1");
}
