//! Whether a machine made of files is told of as it is.

use super::fixture::{Machine, SECOND};
use super::*;
use std::collections::BTreeMap;

/// A reading as it should be.
fn reading<const N: usize>(values: [(&str, f64); N]) -> BTreeMap<String, f64> {
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

const IDLE: &str =
    "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\nctxt 7\n";

#[test]
fn a_machine_without_proc_is_refused_with_the_way_out() {
    let refusal = Machine::with(&[]).refusal();
    assert!(refusal.contains("proc/stat") && refusal.contains("--no-client-telemetry"), "{refusal}");
    assert_eq!(refusal.lines().count(), 1);
}

#[test]
fn the_catalogue_is_about_the_client_and_the_same_at_every_call() {
    let mut machine = Machine::with(&[("proc/stat", IDLE)]);
    let first = machine.catalogue();
    assert_eq!(first.subject(), Subject::CLIENT);
    machine.write(&[("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n")]);
    assert_eq!(format!("{:?}", machine.catalogue()), format!("{first:?}"));
}

#[test]
fn what_the_machine_does_not_show_is_not_in_the_catalogue() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        // Switched off at boot; no count of what is available, as on old kernels; no TCP; no statistics of the scheduler.
        ("proc/pressure/cpu", ""),
        ("proc/meminfo", "MemTotal: 8 kB\nMemFree: 4 kB\n"),
        ("proc/self/status", "Name:\tx\n"),
        ("proc/self/task/7/schedstat", "0 0 0\n"),
        ("proc/net/snmp", "Ip: Forwarding\nIp: 1\n"),
        ("proc/net/dev", "Inter-| Receive\n face |bytes\n lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"),
        ("proc/self/cgroup", "0::/\n"),
    ]);
    assert_eq!(machine.metrics(), ["host_cpu_utilization", "host_cpu_busiest_core", "host_cpu_steal"]);
    assert_eq!(machine.read(0), reading([]));
}

#[test]
fn processors_are_busy_for_the_share_of_time_in_which_they_were_not_idle() {
    let mut machine = Machine::with(&[("proc/stat", IDLE)]);
    assert_eq!(machine.read(0), reading([]), "a share takes two readings");
    // Of 400 ticks, 160 idle, 40 more waiting for a disk, 20 stolen; the second processor is never idle.
    machine.write(&[(
        "proc/stat",
        "cpu  200 10 130 960 40 5 35 20 90 0\ncpu0 50 0 50 560 40 0 0 0 0 0\ncpu1 150 10 80 400 0 5 35 20 90 0\n",
    )]);
    assert_eq!(
        machine.read(SECOND),
        reading([("host_cpu_utilization", 50.0), ("host_cpu_busiest_core", 100.0), ("host_cpu_steal", 5.0)])
    );
}

#[test]
fn processors_that_this_program_may_not_use_are_not_the_busiest() {
    let mut machine =
        Machine::with(&[("proc/stat", IDLE), ("proc/self/status", "Cpus_allowed:\t1\nCpus_allowed_list:\t0,4-7\n")]);
    machine.read(0);
    machine
        .write(&[("proc/stat", "cpu  180 0 100 920 0 0 0 0\ncpu0 60 0 50 490 0 0 0 0\ncpu1 150 0 50 400 0 0 0 0\n")]);
    assert_eq!(machine.read(SECOND)["host_cpu_busiest_core"], 10.0);
    assert_eq!((&machine.labels("host")["cpus"], &machine.labels("host")["cpus_allowed"]), (&2.into(), &1.into()));
}

#[test]
fn odd_statistics_of_processors_give_no_figures_but_never_wrong_ones() {
    let mut machine = Machine::with(&[("proc/stat", IDLE)]);
    machine.read(0);
    // Idle time falls; a processor is taken away; another comes; one has no number that makes sense.
    machine.write(&[(
        "proc/stat",
        "cpu  300 0 100 790 0 0 0 0\ncpu9 1 0 1 1 0 0 0 0\ncpu99999999999 1 1 1 1 1\ncpufreq 1\n",
    )]);
    assert_eq!(machine.read(SECOND), reading([("host_cpu_utilization", 100.0), ("host_cpu_steal", 0.0)]));
    // No time was counted, as in sandboxes that count none.
    assert_eq!(machine.read(2 * SECOND), reading([]));
    machine.write(&[("proc/stat", "cpu  many\n\u{0}")]);
    assert_eq!(machine.read(3 * SECOND), reading([]));
}

#[test]
fn kernels_that_count_no_stolen_time_do_not_offer_it() {
    let mut machine = Machine::with(&[("proc/stat", "cpu  100 0 100 800\n")]);
    assert_eq!(machine.metrics(), ["host_cpu_utilization"]);
    machine.read(0);
    machine.write(&[("proc/stat", "cpu  125 0 100 875\n")]);
    assert_eq!(machine.read(SECOND), reading([("host_cpu_utilization", 25.0)]));
}

#[test]
fn two_readings_at_nearly_the_same_time_do_not_make_a_share_of_next_to_nothing() {
    let mut machine = Machine::with(&[("proc/stat", IDLE)]);
    machine.read(0);
    machine.write(&[("proc/stat", "cpu  101 0 100 800 0 0 0 0\n")]);
    assert_eq!(machine.read(1_000), reading([]));
    machine.write(&[("proc/stat", "cpu  110 0 100 890 0 0 0 0\n")]);
    assert_eq!(machine.read(SECOND)["host_cpu_utilization"], 10.0);
}

#[test]
fn pressure_is_the_share_of_time_in_which_a_task_waited() {
    let pressure = |total| format!("some avg10=99.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 total=0\n");
    let mut machine = Machine::with(&[("proc/stat", IDLE), ("proc/pressure/cpu", &pressure(1_000_000))]);
    machine.read(0);
    machine.write(&[("proc/pressure/cpu", &pressure(1_125_000))]);
    assert_eq!(machine.read(SECOND / 2), reading([("host_cpu_pressure", 25.0)]));
}

#[test]
fn memory_is_in_gigabytes_and_used_is_what_is_not_available() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        (
            "proc/meminfo",
            "MemTotal:        8000000 kB\nMemFree:  1 kB\nMemAvailable:    3000000 kB\nHugePages_Total: 0\n",
        ),
        ("proc/self/status", "VmPeak:\t 900 kB\nVmRSS:\t 1000000 kB\n"),
    ]);
    assert_eq!(machine.read(0), reading([("host_memory_used", 5.12), ("process_memory_used", 1.024)]));
    assert_eq!(machine.labels("host")["memory_gb"], 8.19);
}

#[test]
fn the_busiest_thread_and_the_one_that_waited_longest_are_told_and_need_not_be_the_same() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        ("proc/self/task/10/schedstat", "1000 1000 3\n"),
        ("proc/self/task/11/schedstat", "500000000 2000 9\n"),
        ("proc/self/task/12/schedstat", "700000000 1 9\n"),
    ]);
    assert_eq!(machine.read(0), reading([]));
    // One thread ends and another begins, of which nothing is known yet.
    machine.remove("proc/self/task/12");
    machine.write(&[
        ("proc/self/task/10/schedstat", "100001000 300001000 5\n"),
        ("proc/self/task/11/schedstat", "1400000000 2000 12\n"),
        ("proc/self/task/13/schedstat", "900000000 900000000 1\n"),
    ]);
    let seen = machine.read(SECOND);
    assert_eq!(seen, reading([("process_thread_utilization", 90.0), ("process_thread_wait", 30.0)]));
    // A wait is counted when it ends.
    machine.write(&[("proc/self/task/13/schedstat", "900000000 9000000000 2\n")]);
    assert_eq!(machine.read(2 * SECOND)["process_thread_wait"], 100.0);
}

/// `/proc/net/dev` of a machine with these interfaces: bytes received, packets dropped, bytes sent.
fn dev(interfaces: &[(&str, [u64; 3])]) -> String {
    let mut text =
        "Inter-|   Receive   |  Transmit\n face |bytes packets errs drop |bytes packets errs drop\n".to_owned();
    for (name, [received, dropped, sent]) in interfaces {
        text += &format!("{name:>6}: {received} 9 0 {dropped} 0 0 0 0 {sent} 9 0 1 0 0 0 0\n");
    }
    text
}

#[test]
fn each_interface_with_traffic_is_counted_by_itself_the_loopback_too() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        ("proc/net/dev", &dev(&[("lo", [500_000, 0, 500_000]), ("ifb0", [0; 3]), ("eth0:1", [2_000_000, 4, 1])])),
        ("sys/class/net/lo/speed", "-1\n"),
        ("sys/class/net/eth0:1/speed", "25000\n"),
        ("proc/sys/kernel/hostname", "box\n"),
    ]);
    assert_eq!(
        machine.read(0),
        reading([
            ("net_eth0:1/host_network_received", 2.0),
            ("net_eth0:1/host_network_sent", 1e-6),
            ("net_eth0:1/host_network_dropped", 5.0),
            ("net_lo/host_network_received", 0.5),
            ("net_lo/host_network_sent", 0.5),
            ("net_lo/host_network_dropped", 1.0),
        ])
    );
    let labels = machine.labels("net_eth0:1");
    assert_eq!((&labels["interface"], &labels["hostname"]), (&"eth0:1".into(), &"box".into()));
    assert_eq!(labels["speed_mbps"], 25_000);
    assert_eq!(machine.labels("net_lo").get("speed_mbps"), None);
}

#[test]
fn an_interface_that_is_made_anew_does_not_take_back_what_it_counted() {
    let mut machine = Machine::with(&[("proc/stat", IDLE), ("proc/net/dev", &dev(&[("eth0", [9_000_000, 0, 1])]))]);
    machine.read(0);
    machine.write(&[("proc/net/dev", &dev(&[]))]);
    assert_eq!(machine.read(SECOND), reading([]));
    machine.write(&[("proc/net/dev", &dev(&[("eth0", [1_000_000, 0, 1]), ("eth1", [7, 7, 7])]))]);
    assert_eq!(machine.read(2 * SECOND)["net_eth0/host_network_received"], 10.0);
}

#[test]
fn of_hundreds_of_interfaces_those_with_the_most_traffic_are_read() {
    let names: Vec<String> = (0..300).map(|n| format!("veth{n:03}")).collect();
    let interfaces: Vec<_> = (1..).zip(&names).map(|(n, name)| (name.as_str(), [n, 0, n])).collect();
    let mut machine = Machine::with(&[("proc/stat", IDLE), ("proc/net/dev", &dev(&interfaces))]);
    let entities = machine.catalogue().entities;
    let ids: Vec<_> = entities.iter().map(|entity| entity.id.as_str()).collect();
    assert_eq!(ids.len(), 9);
    assert_eq!((ids[0], ids[1], ids[8]), ("host", "net_veth292", "net_veth299"));
}

#[test]
fn segments_sent_again_are_found_by_name() {
    let snmp =
        |again: u32| format!("Ip: A\nIp: 1\nTcp: MaxConn InSegs RetransSegs OutRsts\nTcp: -1 12 {again} 3\nUdp: B\n");
    let mut machine = Machine::with(&[("proc/stat", IDLE), ("proc/net/snmp", &snmp(17))]);
    assert_eq!(machine.read(0), reading([("host_tcp_retransmits", 17.0)]));
    machine.write(&[("proc/net/snmp", "Tcp: MaxConn\n")]);
    assert_eq!(machine.read(1), reading([]));
}

#[test]
fn the_limit_of_a_container_is_seen_from_within_it() {
    // The path is that of the machine outside; within, the container's own group is at the top.
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        ("proc/self/cgroup", "0::/system.slice/docker-f00.scope\n"),
        ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/cpu.stat", "usage_usec 9\nnr_periods 5\nnr_throttled 1\nthrottled_usec 250000\n"),
    ]);
    assert_eq!(machine.read(0), reading([("cgroup_cpu_throttled", 0.25)]));
    assert_eq!(machine.labels("host")["cpu_limit"], 1.5);
}

#[test]
fn limits_around_the_program_s_own_group_hold_it_up_as_well() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        ("proc/self/cgroup", "0::/pod/box\n"),
        ("sys/fs/cgroup/pod/cpu.max", "200000 100000\n"),
        ("sys/fs/cgroup/pod/cpu.stat", "throttled_usec 1000000\n"),
        ("sys/fs/cgroup/pod/box/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/pod/box/cpu.stat", "throttled_usec 0\n"),
    ]);
    assert_eq!(machine.read(0), reading([("cgroup_cpu_throttled", 1.0)]));
    assert_eq!(machine.labels("host")["cpu_limit"], 2.0);
}

#[test]
fn control_groups_of_the_first_version_count_in_nanoseconds() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        ("proc/self/cgroup", "4:memory:/a\n2:cpu,cpuacct:/job\n0::/\n"),
        ("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n"),
        ("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu/job/cpu.stat", "nr_periods 5\nnr_throttled 1\nthrottled_time 1500000000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ]);
    assert_eq!(machine.read(0), reading([("cgroup_cpu_throttled", 1.5)]));
    assert_eq!(machine.labels("host")["cpu_limit"], 0.5);
}

#[test]
fn the_machine_says_which_one_it_is_as_far_as_it_can() {
    let mut machine = Machine::with(&[
        ("proc/stat", IDLE),
        ("proc/sys/kernel/hostname", "box\n"),
        ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast: One\nprocessor\t: 1\n"),
    ]);
    let labels = serde_json::json!({
        "source": "/proc", "hostname": "box", "kernel": "6.1.0", "cpu_model": "Fast: One", "cpus": 2,
    });
    assert_eq!(machine.labels("host"), labels);
    assert_eq!(Machine::with(&[("proc/stat", IDLE)]).labels("host")["hostname"], "localhost");
}

#[test]
fn the_program_s_own_processor_time_is_told_from_the_first_reading_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("proc")).unwrap();
    std::fs::write(folder.path().join("proc/stat"), IDLE).unwrap();
    let mut host = Host { root: folder.path().to_owned(), opened: None };
    let mut samples = RVec::new();
    host.collect(0, &mut samples).unwrap();
    assert!(samples.len() == 1 && samples[0].value > 0.0, "{samples:?}");
    host.collect(SECOND, &mut samples).unwrap();
    assert_eq!(samples.len(), 1 + 2, "with the share, which takes two readings: {samples:?}");
}
