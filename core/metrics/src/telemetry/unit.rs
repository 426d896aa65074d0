//! Units that hardware is measured in. Case matters: `mJ` is a thousandth of a joule, `MJ` a million of them.

/// How many joules `unit` is, if it is one of energy.
pub(super) fn joules(unit: &str) -> Option<f64> {
    Some(match unit {
        "uJ" | "µJ" => 1e-6,
        "mJ" => 1e-3,
        "J" => 1.0,
        "kJ" => 1e3,
        "MJ" => 1e6,
        "Wh" => 3600.0,
        "kWh" => 3.6e6,
        _ => return None,
    })
}

/// How many watts `unit` is, if it is one of power.
pub(super) fn watts(unit: &str) -> Option<f64> {
    Some(match unit {
        "mW" => 1e-3,
        "W" => 1.0,
        "kW" => 1e3,
        _ => return None,
    })
}
