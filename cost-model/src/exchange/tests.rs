use super::*;
use proptest::prelude::*;

fn group(size: u32) -> Group {
    Group { size, nodes: size.div_ceil(8) }
}

/// The one-layer word model: 128 sequences of 20 words per rank, rows of 512, 100,000 words,
/// U(N) = 7.02·N^0.64 (the exponent of arXiv:1810.10045; the prefactor is a round example here).
fn word(ranks: u32, wire: u64) -> Table {
    Table::new(group(ranks), 2560, 512, 100_000, wire, |n| 7.02 * n.powf(0.64))
}

fn megabytes(bytes: Bytes) -> f64 {
    (bytes.get() / 1e5).round() / 10.0
}

/// By hand for 8 ranks: U = 7.02·20480^0.64 = 4033; gather 7·2560·2052 B = 36.8 MB (36.7 without
/// the ids); unique 7·2560·4 + 1.75·4033·2048 = 14.5 MB; dense 1.75·100000·2048 = 358.4 MB.
#[test]
fn word_model_traffic_matches_its_published_form() {
    // Ranks, U, gathered rows, unique, dense in MB.
    let rows = [
        (8, 4_033.0, 36.7, 14.5, 358.4),
        (16, 6_284.0, 78.6, 24.3, 384.0),
        (24, 8_146.0, 120.6, 32.2, 392.5),
        (32, 9_793.0, 162.5, 39.2, 396.8),
        (64, 15_260.0, 330.3, 62.2, 403.2),
        (192, 30_826.0, 1001.4, 127.6, 407.5),
    ];
    for (ranks, unique, gather, own, dense) in rows {
        let table = word(ranks, 4);
        assert!((table.unique_all - unique).abs() < 1.0, "{ranks}: {}", table.unique_all);
        let ids = Bytes::new(f64::from(ranks - 1) * 2560.0 * 4.0);
        let gathered = wire_bytes(Exchange::Gather, &table) - ids;
        assert!((megabytes(gathered) - gather).abs() < 0.11, "{ranks}: {}", megabytes(gathered));
        assert_eq!(megabytes(wire_bytes(Exchange::Unique, &table)), own, "{ranks}");
        assert!((megabytes(wire_bytes(Exchange::Dense, &table)) - dense).abs() < 0.06, "{ranks}");
    }
}

/// Gathered rows against the exchange by unique rows: 2.5, 3.2, 3.7, 4.1, 5.3, 7.9 times.
#[test]
fn the_advantage_of_unique_rows_grows_with_the_ranks() {
    for (ranks, ratio) in [(8, 2.5), (16, 3.2), (24, 3.7), (32, 4.1), (64, 5.3), (192, 7.9)] {
        let table = word(ranks, 4);
        let got = wire_bytes(Exchange::Gather, &table) / wire_bytes(Exchange::Unique, &table);
        assert!((got - ratio).abs() < 0.06, "{ranks}: {got}");
    }
}

/// Characters: 128 sequences of 150, rows of 1,792, 98 symbols. Gathering needs
/// 64·19200·(1792·4 + 4) B = 8.81 GB on 64 ranks, the whole table 0.7 MB.
#[test]
fn buffers_by_hand() {
    let table = Table::new(group(64), 19_200, 1792, 98, 4, |n| n);
    assert_eq!((buffer_bytes(Exchange::Gather, &table).get() / 1e7).round(), 881.0);
    assert_eq!(buffer_bytes(Exchange::Dense, &table).get(), 98.0 * 1792.0 * 4.0);
    assert_eq!(table.unique_all, 98.0);
    let unique = buffer_bytes(Exchange::Unique, &table).get();
    assert_eq!(unique, 64.0 * 19_200.0 * 4.0 + 98.0 * 1792.0 * 4.0);
}

#[test]
fn tied_tables_have_dense_gradients() {
    assert_eq!(members(true), [Exchange::Dense, Exchange::Sharded]);
    assert_eq!(members(false), Exchange::ALL);
}

/// 192 ranks draw 1,024 words each: own seeds exceed the vocabulary, 29 seeds touch
/// 29·1024 + 30,826 rows, one seed 1024 + 30,826.
#[test]
fn seeds_bound_the_touched_rows() {
    let table = word(192, 4);
    let rows = |seeds| sampled_rows(seeds, 1024, &table).round();
    assert_eq!(rows(SamplingSeeds::PerRank), 100_000.0);
    assert_eq!(rows(SamplingSeeds::Zipf), 29.0 * 1024.0 + 30_826.0);
    assert_eq!(rows(SamplingSeeds::Shared), 1024.0 + 30_826.0);
}

/// 20 bytes per id against 512 · 4 per row: sorting all ids moves 1 % of what gathering rows does.
#[test]
fn sorting_is_cheap_beside_the_wire() {
    let table = word(64, 4);
    let sorted = SORT * 64.0 * 2560.0;
    assert!(sorted < 0.01 * wire_bytes(Exchange::Gather, &table).get());
}

proptest! {
    #[test]
    fn work_sends_what_the_closed_form_says(ranks in 1u32..300, tokens in 1u64..100_000,
                                            width in 1u64..5000, vocabulary in 1u64..1_000_000,
                                            wide: bool) {
        let wire = if wide { 4 } else { 2 };
        let table = Table::new(group(ranks), tokens, width, vocabulary, wire,
                               |n| 7.0 * n.powf(0.64));
        for exchange in Exchange::ALL {
            let closed = wire_bytes(exchange, &table).get();
            let sent = bytes_sent(&work(exchange, &table)).get();
            prop_assert!((closed - sent).abs() <= 1e-9 * closed.max(1.0), "{exchange}");
        }
        prop_assert!(table.unique_all <= vocabulary as f64);
        prop_assert!(table.unique_own <= table.unique_all);
        prop_assert!(wire_bytes(Exchange::DedupGather, &table)
            <= wire_bytes(Exchange::Gather, &table));
    }
}
