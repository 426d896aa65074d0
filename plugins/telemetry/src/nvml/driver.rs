//! The driver's own library behind [`Gpu`]: nothing but calls, and words for what goes wrong.

use super::{Gpu, Identity, Query, Values};
use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{PerformancePolicy, TemperatureSensor},
    enums::gpm::GpmMetricId,
    error::NvmlError,
    gpm::{GpmSample, gpm_metrics_get},
};
use std::sync::OnceLock;

/// The library, loaded once and for as long as the program runs: devices and samples refer to it.
static LIBRARY: OnceLock<Nvml> = OnceLock::new();

/// A GPU of this machine.
pub(super) struct Driver {
    device: Device<'static>,
    identity: Identity,
    /// What the counters of its multiprocessors were when last asked, if it has them (Hopper and later).
    multiprocessors: Option<GpmSample<'static>>,
}

impl Driver {
    /// The GPUs of this machine, in the driver's order.
    pub(super) fn gpus() -> Result<Vec<Box<dyn Gpu>>, String> {
        let library = match LIBRARY.get() {
            Some(library) => library,
            None => {
                let library = Nvml::init().map_err(absent)?;
                LIBRARY.get_or_init(|| library)
            }
        };
        let count = library.device_count().map_err(absent)?;
        let driver = library.sys_driver_version().unwrap_or_default();
        // A broken GPU is left out; the others are as good as ever.
        let gpus: Vec<_> = (0..count)
            .filter_map(|index| {
                let device = library.device_by_index(index).ok()?;
                let identity = identity(&device, index, driver.clone());
                Some(Box::new(Self { device, identity, multiprocessors: None }) as Box<dyn Gpu>)
            })
            .collect();
        if gpus.is_empty() { Err(absent(NvmlError::NotFound)) } else { Ok(gpus) }
    }
}

/// Why there is no GPU to read, and what to do.
fn absent(error: NvmlError) -> String {
    let (reason, remedy) = match error {
        NvmlError::LibloadingError(error) => (
            format!("the NVIDIA driver's library cannot be loaded ({error})"),
            "install the driver, or start the container with its utilities (NVIDIA_DRIVER_CAPABILITIES=utility)",
        ),
        NvmlError::DriverNotLoaded => ("the NVIDIA driver is not loaded".to_owned(), "load it and see `nvidia-smi`"),
        NvmlError::NotFound => {
            ("the NVIDIA driver finds no GPU that can be used".to_owned(), "see what `nvidia-smi` says")
        }
        error => (format!("the NVIDIA driver refuses: {error}"), "see what `nvidia-smi` says"),
    };
    let line = format!(
        "{reason}; {remedy}, or read the machine that has the GPUs by --gpu-telemetry with the URL of its dcgm-exporter"
    );
    // The loader's own words may have several lines.
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn identity(device: &Device<'_>, index: u32, driver: String) -> Identity {
    const MIG_ENABLED: u32 = 1;
    Identity {
        index,
        name: device.name().unwrap_or_default(),
        uuid: device.uuid().unwrap_or_default(),
        pci_bus_id: device.pci_info().map(|pci| pci.bus_id).unwrap_or_default(),
        device: format!("nvidia{}", device.minor_number().unwrap_or(index)),
        driver,
        has_mig: device.mig_mode().is_ok_and(|mode| mode.current == MIG_ENABLED),
    }
}

impl Driver {
    fn figures(&mut self, query: Query) -> Result<Values, NvmlError> {
        let device = &self.device;
        let figure = match query {
            Query::Power => f64::from(device.power_usage()?),
            Query::Energy => device.total_energy_consumption()? as f64,
            Query::Utilization => {
                let rates = device.utilization_rates()?;
                return Ok([rates.gpu, rates.memory].map(|rate| Some(f64::from(rate))));
            }
            Query::Memory => device.memory_info()?.used as f64,
            Query::Temperature => f64::from(device.temperature(TemperatureSensor::Gpu)?),
            Query::Encoder => f64::from(device.encoder_utilization()?.utilization),
            Query::Decoder => f64::from(device.decoder_utilization()?.utilization),
            Query::Sm => return Ok([self.multiprocessors()?, None]),
            Query::PowerViolation => device.violation_status(PerformancePolicy::Power)?.violation_time as f64,
        };
        Ok([Some(figure), None])
    }

    /// How busy the multiprocessors were since this was last asked; absent at first.
    fn multiprocessors(&mut self) -> Result<Option<f64>, NvmlError> {
        if self.multiprocessors.is_none() && !self.device.gpm_support()? {
            return Err(NvmlError::NotSupported);
        }
        let now = self.device.gpm_sample()?;
        let Some(before) = self.multiprocessors.replace(now) else { return Ok(None) };
        let Some(now) = &self.multiprocessors else { return Ok(None) };
        let figures = gpm_metrics_get(before.nvml(), &before, now, &[GpmMetricId::SmUtil])?;
        figures.into_iter().next().map(|figure| Ok(figure?.value)).transpose()
    }
}

impl Gpu for Driver {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn ask(&mut self, query: Query) -> Result<Values, String> {
        self.figures(query).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_gpu_is_one_line_with_a_way_out() {
        for (error, words) in [
            (NvmlError::DriverNotLoaded, "not loaded"),
            (NvmlError::NotFound, "no GPU"),
            (NvmlError::NoPermission, "permission"),
        ] {
            let line = absent(error);
            assert!(line.contains(words) && line.contains("--gpu-telemetry"), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
    }
}
