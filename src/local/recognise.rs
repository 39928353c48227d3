//! From the name that a driver says to the name of a device file.

/// Names that do not follow from what the driver says.
pub const SPECIAL: [(&str, &str); 7] = [
    ("a100-sxm4-40gb", "a100-sxm-40gb"),
    ("a100-sxm4-80gb", "a100-sxm-80gb"),
    ("a100-80gb-pcie", "a100-pcie-80gb"),
    ("h100-80gb-hbm3", "h100-sxm-80gb"),
    ("h100-pcie", "h100-pcie-80gb"),
    ("h200", "h200-sxm-141gb"),
    ("b200", "b200-sxm-180gb"),
];

/// Words that say who makes it and in which line of products, and nothing about what it can do.
const NOISE: [&str; 4] = ["nvidia", "tesla", "geforce", "quadro"];

/// The name under which a device file would describe this GPU: `NVIDIA GeForce RTX 4090` is
/// `rtx-4090`.
pub fn device_name(driver_name: &str) -> String {
    let lower = driver_name.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty() && !NOISE.contains(word))
        .collect();
    let name = words.join("-");
    SPECIAL.iter().find(|(said, _)| *said == name).map_or(name, |(_, known)| (*known).to_string())
}

#[cfg(test)]
mod tests {
    use super::device_name;

    #[test]
    fn drivers_say_it_longer_than_people() {
        let cases = [
            ("Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
            ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
            ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
            ("NVIDIA H100 80GB HBM3", "h100-sxm-80gb"),
            ("NVIDIA GeForce RTX 2080 Ti", "rtx-2080-ti"),
            ("NVIDIA TITAN X (Pascal)", "titan-x-pascal"),
            ("NVIDIA RTX A6000", "rtx-a6000"),
            ("NVIDIA H20-3e", "h20-3e"),
        ];
        for (said, name) in cases {
            assert_eq!(device_name(said), name, "{said}");
        }
    }
}
