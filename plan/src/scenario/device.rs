//! Device files.

use super::header;
use super::reader::{Item, Problem, Problems, Table, read};
use crate::dtype::Dtype;
use crate::estimate::Sourced;
use crate::machine::{Device, FormatLaw, GemmLaw, RecurrentLaw};
use crate::units::FlopsPerSecond;
use crate::work::AttentionKernel;
use std::collections::BTreeMap;

/// Reads a device.
///
/// # Errors
/// All problems of the file.
pub fn parse_device(text: &str) -> Result<Device, Problems> {
    read(text, device)
}

fn device(file: &Table<'_>) -> Option<Device> {
    let name = header::name(file);
    header::aliases(file);
    let label = file.required("label", Item::text);
    let memory = file.sourced("memory", |item| item.quantity());
    let memory_bandwidth = file.sourced("memory_bandwidth", |item| item.quantity());
    let multiprocessors = file.sourced("multiprocessors", |item| item.count32(1));
    let stream_efficiency = file.sourced("stream_efficiency", Item::fraction);
    let host_link = file.sourced_optional("host_link", |item| item.quantity());
    let power = file.sourced_optional("power", |item| item.quantity());
    let price = file.sourced_optional("price", |item| item.quantity());
    let peak = file.table("peak", peak);
    let gemm = file.table("gemm", gemm);
    let recurrent = file.table_optional("recurrent", recurrent);
    let attention = file.table_optional("attention", attention).unwrap_or_default();
    Some(Device {
        name: name?,
        label: label?,
        peak: peak?,
        memory: memory?,
        memory_bandwidth: memory_bandwidth?,
        multiprocessors: multiprocessors?,
        gemm: gemm?,
        stream_efficiency: stream_efficiency?,
        recurrent,
        attention,
        host_link,
        power,
        price,
    })
}

fn peak(table: &Table<'_>) -> Option<BTreeMap<Dtype, Sourced<FlopsPerSecond>>> {
    let mut peaks = BTreeMap::new();
    for dtype in Dtype::ALL {
        if let Some(rate) = table.sourced_optional(dtype.name(), |item| item.quantity()) {
            peaks.insert(dtype, rate);
        }
    }
    if !Dtype::ALL.iter().any(|dtype| table.has(dtype.name())) {
        table.report(Problem::new(
            table.span(),
            "[peak] states no compute rate for any number format",
            "at least one of fp32, fp16, bf16, fp8",
        ));
    }
    Some(peaks)
}

fn gemm(table: &Table<'_>) -> Option<GemmLaw> {
    let law = format_law(table);
    let kernel_gap = table.sourced("kernel_gap", |item| item.quantity_or_zero());
    let mut formats = BTreeMap::new();
    for dtype in Dtype::ALL {
        if let Some(own) = table.table_optional(dtype.name(), format_law) {
            formats.insert(dtype, own);
        }
    }
    let FormatLaw { efficiency, tile_penalty, prologue } = law?;
    Some(GemmLaw { efficiency, tile_penalty, prologue, kernel_gap: kernel_gap?, formats })
}

fn format_law(table: &Table<'_>) -> Option<FormatLaw> {
    // Fits on short-burst timings may land slightly above the nominal peak.
    let efficiency = table.sourced("efficiency", |item| match item.number(0.0..=1.1)? {
        0.0 => item.refuse("expected an efficiency above 0"),
        value => Some(value),
    });
    let tile_penalty = table.sourced("tile_penalty", |item| item.number(0.0..=10.0));
    let prologue = table.sourced("prologue", |item| item.number(0.0..=1e5));
    let (efficiency, tile_penalty) = (efficiency?, tile_penalty?);
    Some(FormatLaw { efficiency, tile_penalty, prologue: prologue? })
}

fn recurrent(table: &Table<'_>) -> Option<RecurrentLaw> {
    let step_overhead = table.sourced("step_overhead", |item| item.quantity_or_zero());
    let weight_read_efficiency = table.sourced("weight_read_efficiency", Item::fraction);
    Some(RecurrentLaw {
        step_overhead: step_overhead?,
        weight_read_efficiency: weight_read_efficiency?,
    })
}

/// `Unfused` has no fractions: it is priced as two products and the traffic of the scores.
const KERNELS: [(&str, AttentionKernel); 3] = [
    ("flash1", AttentionKernel::Flash1),
    ("flash2", AttentionKernel::Flash2),
    ("flash3", AttentionKernel::Flash3),
];

fn attention(table: &Table<'_>) -> Option<BTreeMap<AttentionKernel, Sourced<(f64, f64)>>> {
    let mut kernels = BTreeMap::new();
    for (name, kernel) in KERNELS {
        if let Some(fractions) = table.optional(name, |item| item.table(fractions)) {
            kernels.insert(kernel, fractions);
        }
    }
    Some(kernels)
}

fn fractions(table: &Table<'_>) -> Option<Sourced<(f64, f64)>> {
    let forward = table.sourced("forward", Item::fraction);
    let backward = table.sourced("backward", Item::fraction);
    let (forward, backward) = (forward?, backward?);
    let value = (forward.value, backward.value);
    let weaker = if backward.grade > forward.grade { backward } else { forward };
    Some(Sourced { value, grade: weaker.grade, source: weaker.source })
}
