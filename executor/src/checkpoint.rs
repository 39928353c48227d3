//! Checkpoints: a safetensors file whose names and shapes are those of the whole model, so that a
//! run may go on under another plan. A file is written beside its place and then renamed; it is
//! either the old one or the new one, never half of one.

use crate::float::Float;
use crate::optimizer::{BatchRamp, LossScale};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Shape.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub values: Vec<f32>,
}

/// Everything that a run needs to go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// Model.
    pub model: String,
    /// Steps that were taken; also where the text goes on.
    pub step: u64,
    /// Updates that were applied; steps whose gradients overflowed are not among them.
    pub updates: u64,
    /// Seed of initial values and draws.
    pub seed: u64,
    /// Loss scale and how long it has been calm.
    pub scale: Option<LossScale>,
    /// How the batch grew, where it did.
    pub ramp: Option<BatchRamp>,
    /// Parameters by name; optimizer state as `slot/name`; carries as `carry/…`.
    pub tensors: BTreeMap<String, Tensor>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is no checkpoint.
    #[error("{path} is no checkpoint of ours: {what}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It belongs to another model.
    #[error("the checkpoint is of model {theirs}; the plan trains {ours}")]
    OtherModel {
        /// Model of the plan.
        ours: String,
        /// Model of the checkpoint.
        theirs: String,
    },
    /// Its batch grew in another way, so that sequences were elsewhere in the text.
    #[error(
        "the checkpoint is of a run {}, where sequences are at other places of the text",
        ramp_words(*theirs)
    )]
    OtherRamp {
        /// What was asked for.
        ours: Option<BatchRamp>,
        /// Of the checkpoint.
        theirs: Option<BatchRamp>,
    },
    /// A tensor is missing or has another shape.
    #[error("the checkpoint has {found} for {name}; the model needs {needed}")]
    Tensor {
        /// Its name.
        name: String,
        /// Shape in the checkpoint.
        found: String,
        /// Shape of the model.
        needed: String,
    },
}

fn ramp_words(ramp: Option<BatchRamp>) -> String {
    ramp.map_or("with the whole batch from the start".into(), |r| format!("whose batch grew: {r}"))
}

/// `from:to:steps`.
fn ramp_of(text: &str) -> Option<BatchRamp> {
    let numbers: Option<Vec<u64>> = text.split(':').map(|n| n.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[from, to, steps]) => Some(BatchRamp { from, to, steps }),
        _ => None,
    }
}

const SCHEMA: &str = "meshwright.checkpoint/1";

impl Checkpoint {
    fn metadata(&self) -> HashMap<String, String> {
        let scale = self.scale.unwrap_or(LossScale::NONE);
        let ramp = self.ramp.map(|r| ("ramp", format!("{}:{}:{}", r.from, r.to, r.steps)));
        let entries = [
            ("schema", SCHEMA.to_string()),
            ("model", self.model.clone()),
            ("step", self.step.to_string()),
            ("updates", self.updates.to_string()),
            ("seed", self.seed.to_string()),
            ("loss_scale", scale.scale.to_string()),
            ("calm_steps", scale.calm.to_string()),
            ("patience", scale.patience.to_string()),
        ];
        entries.into_iter().chain(ramp).map(|(key, value)| (key.to_string(), value)).collect()
    }

    /// Writes it to `path`; whatever was there before stays whole until the new one is.
    ///
    /// # Errors
    /// The system refuses to write.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let fail = |error| CheckpointError::File { path: path.to_path_buf(), error };
        let bytes = self.encode(path)?;
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(name);
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&partial, path)?;
            // The new name itself has to reach the disk; systems that cannot do this need not.
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).ok();
            Ok(())
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&partial);
            fail(error)
        })
    }

    fn encode(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let format = |what: String| CheckpointError::Format { path: path.to_path_buf(), what };
        let raw = |tensor: &Tensor| {
            let mut bytes = Vec::new();
            f32::write(&tensor.values, &mut bytes);
            bytes
        };
        let raws: Vec<Vec<u8>> = self.tensors.values().map(raw).collect();
        let view = |((name, tensor), bytes): ((&String, &Tensor), &'_ Vec<u8>)| {
            let shape = tensor.shape.clone();
            (name.clone(), shape, bytes.len())
        };
        let mut views = Vec::new();
        for ((name, shape, _), bytes) in self.tensors.iter().zip(&raws).map(view).zip(&raws) {
            let view = TensorView::new(Dtype::F32, shape, bytes);
            views.push((name, view.map_err(|e| format(e.to_string()))?));
        }
        serialize(views, Some(self.metadata())).map_err(|e| format(e.to_string()))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// The file cannot be read or is no checkpoint.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let read = fs::read(path);
        let bytes =
            read.map_err(|error| CheckpointError::File { path: path.to_path_buf(), error })?;
        let format = |what: String| CheckpointError::Format { path: path.to_path_buf(), what };
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
        let entries = metadata.metadata().clone().unwrap_or_default();
        if entries.get("schema").map(String::as_str) != Some(SCHEMA) {
            return Err(format(format!("it does not say {SCHEMA}")));
        }
        let number = |key: &str| {
            let value = entries.get(key).and_then(|value| value.parse().ok());
            value.ok_or_else(|| format(format!("{key} is missing")))
        };
        let scale = entries.get("loss_scale").and_then(|value| value.parse().ok());
        let scale = scale.ok_or_else(|| format("loss_scale is missing".into()))?;
        let grown = |text: &String| {
            ramp_of(text).ok_or_else(|| format(format!("`{text}` is no growing batch")))
        };
        let ramp = entries.get("ramp").map(grown).transpose()?;
        let mut tensors = BTreeMap::new();
        let file = SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
        for (name, view) in file.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(format(format!("{name} is not in single precision")));
            }
            let mut values = vec![0.0; view.data().len() / 4];
            f32::read(view.data(), &mut values);
            tensors.insert(name, Tensor { shape: view.shape().to_vec(), values });
        }
        Ok(Self {
            model: entries.get("model").cloned().unwrap_or_default(),
            step: number("step")?,
            updates: number("updates")?,
            seed: number("seed")?,
            scale: Some(LossScale {
                scale,
                calm: number("calm_steps")?,
                patience: number("patience")?,
            }),
            ramp,
            tensors,
        })
    }

    /// A tensor that must have this shape.
    ///
    /// # Errors
    /// It is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32], CheckpointError> {
        let found = self.tensors.get(name);
        if let Some(tensor) = found.filter(|tensor| tensor.shape == shape) {
            return Ok(&tensor.values);
        }
        let found = found.map_or("nothing".into(), |tensor| format!("{:?}", tensor.shape));
        let (name, needed) = (name.to_string(), format!("{shape:?}"));
        Err(CheckpointError::Tensor { name, found, needed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let tensor = Tensor { shape: vec![2, 3], values: vec![1.0, -0.0, 3.5, 4.0, 5.0, f32::MIN] };
        Checkpoint {
            model: "tiny".into(),
            step: 12,
            updates: 11,
            seed: 7,
            scale: Some(LossScale { scale: 65_536.0, calm: 3, patience: 2000 }),
            ramp: Some(BatchRamp { from: 2, to: 8, steps: 30 }),
            tensors: BTreeMap::from([("layers.0.w".into(), tensor)]),
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("meshwright-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_checkpoint_comes_back() {
        let path = path("whole.safetensors");
        sample().save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), sample());
        // Again over the old one.
        let newer = Checkpoint { step: 13, ..sample() };
        newer.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap().step, 13);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn half_a_file_is_refused() {
        let path = path("half.safetensors");
        sample().save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        for len in [0, 7, 40, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            assert!(Checkpoint::load(&path).is_err(), "{len}");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = sample().tensor("layers.0.w", &[3, 2]).unwrap_err().to_string();
        assert!(error.contains("[2, 3] for layers.0.w; the model needs [3, 2]"), "{error}");
        let error = sample().tensor("head.b", &[1]).unwrap_err().to_string();
        assert!(error.contains("nothing for head.b"), "{error}");
    }

    #[test]
    fn a_folder_that_is_missing_is_said() {
        let error = sample().save(Path::new("no/such/folder/x")).unwrap_err().to_string();
        assert!(error.starts_with("no/such/folder/x: "), "{error}");
    }
}
