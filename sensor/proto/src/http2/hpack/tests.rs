use super::table::Known;
use super::{Broken, Decoder, FieldList, MAX_TABLE};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::http2::{Encoder, Indexing, integer};

const LIMIT: usize = 64 << 10;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn list(fields: &FieldList) -> Vec<String> {
    fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect()
}

/// The dynamic table, newest first, as appendix C shows it.
fn entries(decoder: &Decoder) -> Vec<String> {
    let text = |text: Option<&[u8]>| text.map_or("?".into(), |text| text.escape_ascii().to_string());
    let all = (0..decoder.table.len()).filter_map(|back| decoder.table.get(back));
    all.map(|Known { name, value }| format!("{}: {}", text(name), text(value))).collect()
}

/// Decodes a whole block; what came of it, and how it ended.
fn block(decoder: &mut Decoder, input: &[u8]) -> (Vec<String>, FieldList, Result<usize, Broken>) {
    let mut fields = FieldList::default();
    decoder.begin();
    let done = decoder.decode(input, LIMIT, &mut fields);
    (list(&fields), fields, done)
}

/// One example of appendix C: the block, its fields, the table after it and the size of that.
type Example<'a> = (&'a str, &'a [&'a str], &'a [&'a str], usize);

#[track_caller]
fn examples(table: u32, blocks: &[Example<'_>]) {
    let mut decoder = Decoder::new(false);
    decoder.table.set_limit(table as usize);
    for (input, want, after, size) in blocks {
        let input = hex(input);
        let (got, fields, done) = block(&mut decoder, &input);
        assert_eq!((got.iter().map(String::as_str).collect::<Vec<_>>(), done), (want.to_vec(), Ok(input.len())));
        assert!(!fields.bad && !fields.over && fields.unknown == 0);
        assert_eq!(entries(&decoder), *after);
        assert_eq!(decoder.table.size(), *size);
    }
}

#[test]
fn integers_are_those_of_appendix_c_1() {
    for (name, input, bits, want) in [
        ("C.1.1", &[0b0000_1010][..], 5, Ok(Some(10))),
        ("C.1.2", &[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, Ok(Some(1337))),
        ("C.1.3", &[0b0010_1010], 8, Ok(Some(42))),
        ("cut", &[0b0001_1111, 0b1001_1010], 5, Ok(None)),
        ("nothing", &[], 5, Ok(None)),
        ("zeros at the end", &[0x1f, 0x80, 0x80, 0x80, 0x00], 5, Ok(Some(31))),
        ("largest", &[0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f], 5, Ok(Some(u32::MAX))),
        ("one more", &[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 5, Err(Broken::Number)),
        ("without end", &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], 5, Err(Broken::Number)),
    ] {
        assert_eq!(super::integer(input, bits).map(|done| done.map(|(value, _)| value)), want, "{name}");
    }
}

#[test]
fn fields_are_those_of_appendix_c_2() {
    let custom = ["custom-key: custom-header"];
    examples(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &custom, &custom, 55)]);
    examples(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], &[], 0)]);
    examples(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], &[], 0)]);
    examples(4096, &[("82", &[":method: GET"], &[], 0)]);
}

#[test]
fn requests_are_those_of_appendix_c_3_and_c_4() {
    let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    let second = [&first[..], &["cache-control: no-cache"]].concat();
    let third = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    let table = ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"];
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let [a, b, c] = blocks;
        examples(4096, &[(a, &first, &table[2..], 57), (b, &second, &table[1..], 110), (c, &third, &table, 164)]);
    }
}

#[test]
fn responses_are_those_of_appendix_c_5_and_c_6() {
    let first = [
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ];
    let second = [&[":status: 307"], &first[1..]].concat();
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let third = [
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        cookie,
    ];
    let after_first = [first[3], first[2], first[1], first[0]];
    let after_second = [":status: 307", first[3], first[2], first[1]];
    let after_third = [cookie, "content-encoding: gzip", third[2]];
    for blocks in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
             3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
             7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
             6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
             1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
             e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ] {
        let [a, b, c] = blocks;
        examples(
            256,
            &[(a, &first, &after_first, 222), (b, &second, &after_second, 222), (c, &third, &after_third, 215)],
        );
    }
}

#[test]
fn what_hpack_forbids_is_told_and_read_past() {
    for (name, input, want, broken) in [
        ("index 0", &b"\x80\x82"[..], &[": ", ":method: GET"][..], false),
        ("an index of nothing", b"\xbe\x82", &[": ", ":method: GET"], false),
        ("a name of nothing", b"\x7e\x01a\x82", &[": a", ":method: GET"], false),
        ("a change of size behind a field", b"\x82\x20", &[":method: GET"], false),
        ("a table over what is allowed", b"\x3f\xe2\x1f\x82", &[":method: GET"], false),
        ("bad Huffman padding", b"\x04\x81\x00\x82", &[":path: ", ":method: GET"], false),
        ("a number without end", b"\x82\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80", &[":method: GET"], true),
    ] {
        let mut decoder = Decoder::new(false);
        decoder.allow_default();
        let (got, fields, done) = block(&mut decoder, input);
        assert_eq!(got, want, "{name}");
        assert!(fields.bad, "{name}");
        assert_eq!(done.is_err(), broken, "{name}");
    }
}

#[test]
fn sizes_change_as_their_sender_says() {
    let mut decoder = Decoder::new(false);
    let mut encoder = Encoder::default();
    let _ = block(&mut decoder, &encoder.block(&[("a", "1"), ("b", "2")]));
    assert_eq!(entries(&decoder), ["b: 2", "a: 1"]);
    // Two in a row (RFC 7541 §4.2): down to nothing, which evicts, and up again.
    let input = [encoder.resize(0), encoder.resize(34), encoder.block(&[("c", "3"), ("d", "4")])].concat();
    let (got, fields, _) = block(&mut decoder, &input);
    assert_eq!(got, ["c: 3", "d: 4"]);
    assert!(!fields.bad);
    assert_eq!(entries(&decoder), ["d: 4"]);
    // An entry over the limit empties the table and is not kept (§4.4).
    let _ = block(&mut decoder, &encoder.block(&[("name", "too long for 34")]));
    assert_eq!(entries(&decoder), [""; 0]);
    // Once the receiver allows more, the sender may use it; and as long as its settings were not seen.
    for (told, size, bad) in [(None, 8192, false), (Some(16), 8192, true), (Some(8192), 8192, false)] {
        if let Some(size) = told {
            decoder.allow(size);
        }
        let (_, fields, _) = block(&mut decoder, &encoder.resize(size));
        assert_eq!(fields.bad, bad, "{told:?}");
    }
    decoder.allow_any();
    let (_, fields, _) = block(&mut decoder, &encoder.resize(16_384));
    assert!(!fields.bad);
}

#[test]
fn a_table_of_gigabytes_is_kept_in_part_and_the_rest_is_unknown() {
    let mut decoder = Decoder::new(false);
    let mut encoder = Encoder::new(false, Indexing::Incremental);
    decoder.allow(u32::MAX);
    let (_, fields, _) = block(&mut decoder, &encoder.resize(u32::MAX));
    assert!(fields.capped && !fields.bad);
    let value = "v".repeat(1000);
    for i in 0..3000 {
        let _ = block(&mut decoder, &encoder.block(&[(&format!("n{i}"), &value)]));
    }
    assert!(decoder.table.memory() < 4 * MAX_TABLE, "{} bytes", decoder.table.memory());
    let (got, fields, _) = block(&mut decoder, &encoder.block(&[("n2999", &value), ("n2", &value)]));
    assert_eq!(got, [format!("n2999: {value}"), ": ".to_owned()]);
    assert!(fields.unknown == 1 && !fields.bad);
    // A field too large for us has its place in the order.
    let large = "w".repeat(MAX_TABLE);
    let mut fields = FieldList::default();
    let input = encoder.block(&[("large", &large), ("small", "1")]);
    assert_eq!(decoder.decode(&input, 2 * MAX_TABLE, &mut fields), Ok(input.len()));
    let (got, fields, _) = block(&mut decoder, &encoder.block(&[("small", "1"), ("large", &large)]));
    assert_eq!((&got[0][..], fields.unknown), ("small: 1", 1));
}

#[test]
fn small_entries_do_not_make_a_table_large() {
    let mut decoder = Decoder::new(true);
    for _ in 0..100_000 {
        let _ = block(&mut decoder, b"\x40\x00\x00");
    }
    assert_eq!(decoder.table.len(), MAX_TABLE / 32);
    assert!(decoder.table.memory() < 4 * MAX_TABLE, "{} bytes", decoder.table.memory());
}

#[test]
fn a_decoder_that_joins_late_knows_what_was_added_since() {
    let mut encoder = Encoder::default();
    encoder.block(&[("x-old", "1"), ("x-older", "2")]);
    let mut decoder = Decoder::new(true);
    let fresh = encoder.block(&[("x-old", "1"), ("x-new", "3"), ("x-old", "other"), (":method", "POST")]);
    let (got, fields, _) = block(&mut decoder, &fresh);
    assert_eq!(got, [": ", "x-new: 3", ": other", ":method: POST"]);
    assert!(fields.unknown == 2 && !fields.bad);
    let again = encoder.block(&[("x-new", "3"), ("x-old", "other"), ("x-older", "2")]);
    let (got, fields, _) = block(&mut decoder, &again);
    // The second was added under a name that is not known.
    assert_eq!(got, ["x-new: 3", ": other", ": "]);
    assert_eq!(fields.unknown, 2);
    // A sender that empties its table lets us catch up.
    let (got, fields, _) = block(&mut decoder, &[encoder.resize(0), encoder.resize(4096), vec![0xbe]].concat());
    assert_eq!((got, fields.bad), (vec![": ".to_owned()], true));
}

#[test]
fn a_bomb_of_references_stays_within_the_list_limit() {
    let mut decoder = Decoder::new(false);
    let mut input = Vec::new();
    integer(0x40, 6, 0, &mut input);
    input.extend_from_slice(b"\x01a");
    integer(0, 7, 4000, &mut input);
    input.extend(vec![b'v'; 4000]);
    // 50,000 references, one byte each, would be 200 MB.
    input.extend(vec![0xbe; 50_000]);
    let (got, fields, done) = block(&mut decoder, &input);
    assert_eq!(done, Ok(input.len()));
    assert!(fields.over && !fields.bad);
    assert_eq!(got.len(), LIMIT / 4033);
    assert!(fields.memory() < 3 * LIMIT, "{} bytes", fields.memory());
    // The table is as it should be.
    assert_eq!(decoder.table.len(), 1);
}

#[test]
fn a_field_over_the_limit_breaks_the_block_however_it_comes() {
    let mut input = b"\x82\x00\x01a".to_vec();
    integer(0, 7, LIMIT, &mut input);
    input.extend(vec![b'v'; LIMIT]);
    let (got, fields, done) = block(&mut Decoder::new(false), &input);
    assert_eq!((got, done), (vec![":method: GET".to_owned()], Err(Broken::TooLong)));
    assert!(fields.over && !fields.bad);
}

#[test]
fn memory_of_a_large_list_is_given_back() {
    let mut decoder = Decoder::new(false);
    let mut encoder = Encoder::new(true, Indexing::Without);
    let (_, mut fields, _) = block(&mut decoder, &encoder.block(&[("a", &"v".repeat(60_000))]));
    assert!(fields.memory() > 60_000);
    fields.clear();
    assert!(fields.memory() <= 8192);
}

/// Fields from few names and values, so that tables are hit, and how each is written.
fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>, bool, u8)>> {
    let name = prop_oneof!["[a-z]{1,3}", Just(":path".to_owned()), Just("accept".to_owned())];
    let value = prop_oneof!["[a-c]{0,2}".prop_map(String::into_bytes), vec(any::<u8>(), 0..80)];
    vec((name, value, any::<bool>(), 0..5_u8), 0..40)
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(blocks in vec(fields(), 1..6)) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(false));
        for fields in blocks {
            let mut input = Vec::new();
            for (i, (name, value, huffman, how)) in fields.iter().enumerate() {
                encoder.huffman = *huffman;
                encoder.indexing = match how {
                    0 => Indexing::Without,
                    1 => Indexing::Never,
                    _ => Indexing::Incremental,
                };
                if *how == 4 && i == 0 {
                    input.extend(encoder.resize(u32::from(*huffman) * 100));
                }
                encoder.field(name.as_bytes(), value, &mut input);
            }
            let mut got = FieldList::default();
            decoder.begin();
            prop_assert_eq!(decoder.decode(&input, LIMIT, &mut got), Ok(input.len()));
            prop_assert!(!got.bad && !got.over && got.unknown == 0);
            let got: Vec<_> = got.iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            let want: Vec<_> = fields.into_iter().map(|(n, v, ..)| (n, v)).collect();
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn a_late_decoder_reports_nothing_that_is_not_true(blocks in vec(fields(), 2..6), late in 1..4_usize) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(true));
        for (at, fields) in blocks.iter().enumerate() {
            let mut input = Vec::new();
            for (name, value, huffman, _) in fields {
                encoder.huffman = *huffman;
                encoder.field(name.as_bytes(), value, &mut input);
            }
            if at < late {
                continue;
            }
            let mut got = FieldList::default();
            decoder.begin();
            prop_assert_eq!(decoder.decode(&input, LIMIT, &mut got), Ok(input.len()));
            prop_assert!(!got.bad);
            prop_assert_eq!(got.len(), fields.len());
            for ((name, value), (want_name, want_value, ..)) in got.iter().zip(fields) {
                prop_assert!(name.is_empty() || name == want_name);
                prop_assert!(value.is_empty() || value == want_value);
            }
        }
    }

    #[test]
    fn anything_is_read_the_same_however_it_is_cut(data in vec(any::<u8>(), 0..600)) {
        super::super::fuzz::fuzz_hpack(&data);
    }
}
