//! Parameter counts of the shipped models beside published ones.

use plan::model::{Family, Model};
use plan::scenario::parse_model;
use std::fs;
use std::path::Path;

#[test]
fn shipped_models_have_their_published_sizes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/models");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in files {
        let spec = parse_model(&fs::read_to_string(&file).unwrap()).unwrap();
        if matches!(spec.family, Family::Einsum(_)) {
            continue;
        }
        let model = Model::build(&spec).unwrap_or_else(|why| panic!("{}: {why}", spec.name));
        let built = model.parameters();
        let Some(published) = &spec.published_parameters else {
            println!("{:24} {built:>17}", spec.name);
            continue;
        };
        let error = (built as f64 - published.parameters) / published.parameters;
        println!(
            "{:24} {built:>17} published {:>17} ± {:.4} %: {:+.4} %",
            spec.name,
            published.parameters,
            published.tolerance * 100.0,
            error * 100.0
        );
        compared += 1;
        if error.abs() > published.tolerance {
            wrong.push(spec.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(compared > 40, "only {compared} models state a published count");
}
