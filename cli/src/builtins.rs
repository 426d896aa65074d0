//! The one place that names the built-in plugins: linking them registers them.

use inferometer_datasets as _;
use inferometer_endpoints as _;
use inferometer_exporters as _;
use inferometer_telemetry as _;
use inferometer_timing as _;
