//! From names to values.

use super::{Catalog, Kind, LOCAL, Scenario};
use crate::diagnostics::Failure;
use crate::local;
use plan::corpus::Corpus;
use plan::machine::{Cluster, Device};
use plan::model::ModelSpec;
use plan::scenario::{parse_cluster, parse_corpus, parse_device, parse_model};
use std::cell::RefCell;
use std::path::Path;

impl Catalog {
    /// The model with this name, or in this file.
    pub fn model(&self, name: &str) -> Result<ModelSpec, Failure> {
        let file = self.find(Kind::Model, name)?;
        parse_model(&file.text).map_err(|p| Failure::scenario(&file.shown, &file.text, p))
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
        for path in beside.filter(|path| path.is_file()) {
            return self.device(&path.display().to_string()).map(Some);
        }
        match self.find(Kind::Device, name) {
            Ok(_) => self.device(name).map(Some),
            Err(_) => Ok(None),
        }
    }
}
