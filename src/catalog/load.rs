//! From names to values.

use super::{Catalog, Kind, LOCAL, Scenario};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::local;
use cost_model::stack::{Stack, StackError, load_stack};
use plan::corpus::Corpus;
use plan::huggingface::{Imported, import, is_config};
use plan::machine::{Cluster, Device};
use plan::model::ModelSpec;
use plan::scenario::{parse_cluster, parse_corpus, parse_device, parse_model};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

impl Catalog {
    /// The model with this name, or in this file.
    pub fn model(&self, name: &str) -> Result<ModelSpec, Failure> {
        self.import(name).map(|imported| imported.spec)
    }

    /// The same, with what had to be assumed of a Hugging Face configuration.
    pub fn import(&self, name: &str) -> Result<Imported, Failure> {
        let file = self.find(Kind::Model, name)?;
        let parsed = match is_config(&file.text) {
            true => import(&file.text, &name_of(file.path.as_deref())),
            false => parse_model(&file.text).map(|spec| Imported { spec, notes: Vec::new() }),
        };
        parsed.map_err(|p| Failure::scenario(&file.shown, &file.text, p))
    }

    /// The software stack with this name, or in this file.
    pub fn stack(&self, name: &str) -> Result<Stack, Failure> {
        // What is calibrated on this machine is laid over the stack of its processors.
        let name = if name == LOCAL { local::STACK } else { name };
        let file = self.find(Kind::Profile, name)?;
        self.read_stack(&file)
    }

    /// Understands the file of a software stack and those that it extends.
    pub fn read_stack(&self, file: &Scenario) -> Result<Stack, Failure> {
        let text = |name: &str| match name == file.shown {
            true => Some(file.text.to_string()),
            false => self.find(Kind::Profile, name).ok().map(|found| found.text.to_string()),
        };
        load_stack(&file.shown, &text).map_err(|error| match error {
            StackError::File { name, problems } => {
                let content = text(&name).unwrap_or_default();
                Failure::scenario(&name, &content, problems)
            }
            other => Failure::new(Exit::InvalidInput, format!("{}: {other}", file.shown)),
        })
    }

    /// The corpus with this name, or in this file.
    pub fn corpus(&self, name: &str) -> Result<Corpus, Failure> {
        let file = self.find(Kind::Corpus, name)?;
        parse_corpus(&file.text).map_err(|p| Failure::scenario(&file.shown, &file.text, p))
    }

    /// The device with this name, or in this file.
    pub fn device(&self, name: &str) -> Result<Device, Failure> {
        let file = self.find(Kind::Device, name)?;
        parse_device(&file.text).map_err(|p| Failure::scenario(&file.shown, &file.text, p))
    }

    /// The cluster with this name, or in this file; `local` is this machine.
    pub fn cluster(&self, name: &str) -> Result<Cluster, Failure> {
        if name == LOCAL {
            return local::cluster(self, &executor::machine::detect());
        }
        self.read_cluster(&self.find(Kind::Cluster, name)?)
    }

    /// Understands a cluster file. A broken device file is reported as such, not as a device that
    /// does not exist.
    pub fn read_cluster(&self, file: &Scenario) -> Result<Cluster, Failure> {
        let broken: RefCell<Option<Failure>> = RefCell::new(None);
        let device = |name: &str| match self.device_near(name, file.path.as_deref()) {
            Ok(device) => device,
            Err(failure) => {
                broken.borrow_mut().get_or_insert(failure);
                None
            }
        };
        let cluster = parse_cluster(&file.text, &device);
        match broken.into_inner() {
            Some(failure) => Err(failure),
            None => cluster.map_err(|p| Failure::scenario(&file.shown, &file.text, p)),
        }
    }

    /// A device that a cluster file names: beside that file, in the folder `devices` beside its
    /// own, or in the catalog. `None` where there is no such device.
    fn device_near(&self, name: &str, cluster: Option<&Path>) -> Result<Option<Device>, Failure> {
        let folder = cluster.and_then(Path::parent);
        let beside = folder.into_iter().flat_map(|folder| {
            [folder.join(format!("{name}.toml")), folder.join(format!("../devices/{name}.toml"))]
        });
        // A cluster may have the name of its device.
        let is_other = |path: &PathBuf| path.is_file() && cluster != Some(path.as_path());
        let mut files = beside.filter(is_other);
        if let Some(path) = files.next() {
            return self.device(&path.display().to_string()).map(Some);
        }
        match self.find(Kind::Device, name) {
            Ok(_) => self.device(name).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// What a configuration is called: its file, or its folder where the file is called as all are.
pub fn name_of(path: Option<&Path>) -> String {
    let path = path.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
    let word = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    let stem = path.as_deref().and_then(Path::file_stem).map(word);
    let folder = path.as_deref().and_then(Path::parent).and_then(Path::file_name).map(word);
    let name = match stem {
        Some(stem) if stem != "config" => Some(stem),
        stem => folder.or(stem),
    };
    name.unwrap_or_else(|| "imported".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_shipped_can_be_loaded_by_its_name() {
        let catalog = Catalog::default();
        for kind in Kind::ALL {
            let all = catalog.all(kind).unwrap();
            assert!(all.len() >= 5, "{} {}", all.len(), kind.folder());
            for name in all.keys() {
                let loaded = match kind {
                    Kind::Model => catalog.model(name).map(|m| m.name),
                    Kind::Cluster => catalog.cluster(name).map(|c| c.name),
                    Kind::Device => catalog.device(name).map(|d| d.name),
                    Kind::Profile => catalog.stack(name).map(|s| s.name),
                    Kind::Corpus => catalog.corpus(name).map(|c| c.name),
                };
                assert_eq!(loaded.as_ref(), Ok(name), "{}", kind.singular());
            }
        }
    }

    #[test]
    fn models_name_clusters_stacks_and_corpora_that_exist() {
        let catalog = Catalog::default();
        for name in catalog.all(Kind::Model).unwrap().keys() {
            let training = catalog.model(name).unwrap().training;
            assert!(catalog.cluster(&training.default_cluster).is_ok(), "{name}: cluster");
            if let Some(stack) = training.default_stack {
                assert!(catalog.stack(&stack).is_ok(), "{name}: {stack}");
            }
            if let Some(corpus) = training.corpus {
                assert!(catalog.corpus(&corpus).is_ok(), "{name}: {corpus}");
            }
        }
    }

    #[test]
    fn aliases_are_names_too() {
        let catalog = Catalog::default();
        assert_eq!(catalog.cluster("selene").unwrap().name, "dgx-a100");
        assert_eq!(catalog.model("llama3").unwrap().name, "llama3-8b");
    }
}
