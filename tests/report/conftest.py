"""A small experiment of two machines, reproduced and reported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.report.page import write_page
from simulator.validation.reproduction import Reproduction, compare_with_published

EXPERIMENT = """
title: Two machines
paper: arXiv 2405.07518v2
base:
  model: llama-2-7b
  workload:
    kind: expert_models
    router_tokens: 20
    trace: {kind: cyclic}
    expert_bytes: 14 GB
    kv_tokens: 4096
    calibration:
      model: llama-2-7b
      expert_time: {sn40l-node: {20: 66.75 ms}, dgx-a100: {20: 136.65 ms}}
  mapping: {residency: {router_in_cache: false}}
cases:
  system:
    sn40l-node:
      hardware: sn40l-node
      mapping: {residency: {home: socket.ddr, home_bytes: 12288 GB, cache: socket.hbm, bytes: 512 GB}}
      label: SN40L node
    dgx-a100:
      hardware: dgx-a100
      mapping: {residency: {home: host, home_bytes: 2048 GB, cache: gpu.hbm, bytes: 640 GB, links: 1, nodes_by: cache}}
      label: DGX A100
runs:
  service:
    cases: {system: all}
    axes:
      workload.batch: [1, 8]
      workload.output: {values: [20], name: tokens}
      workload.experts: [10, 40, 100, 150]
    derived: {switch_time: switch_s / misses}
  footprint: {workload: {phase: footprint}, cases: {system: all}, axes: {workload.experts: [10, 40, 50, 100]}}
metrics:
  latency: {of: latency_s, run: service}
  switching: {of: switch_s, run: service}
  execution: {of: execute_s, run: service}
  out_of_memory: {of: out_of_memory, run: service}
  switch_time: {of: switch_time, take: last, run: service}
  speedup: {of: latency_s, reads: {baseline: over.system}, inverse: true, run: service}
  switch_speedup: {of: switch_time, reads: {baseline: over.system}, inverse: true, take: last, run: service}
  nodes: {of: nodes, run: footprint}
  nodes_from: {of: experts, reads: {nodes: where.nodes}, take: min, run: footprint}
variants:
  eight_links:
    title: all host links at once
    set: {cases.system.dgx-a100.mapping.residency.links: 8}
    runs: [service]
charts:
  latency:
    kind: lines
    run: service
    x: experts
    of: latency_s
    log: [latency_s]
    ends: out_of_memory
    series: system
    panels: batch
    published: {figures: [12a, 12b], metric: latency}
  split:
    kind: parts
    run: service
    of: [switch_s, router_s, expert_s]
    sum: latency of a batch
    series: system
    panels: batch
    where: {experts: 100}
    published: {switching: switch_s, execution: expert_s}
    figures: [1a]
  speedups:
    kind: variants
    of: [speedup, switch_speedup]
    over: baseline
    series: system
    lines: {speedup: "batch {batch}, {tokens} tokens", switch_speedup: switching}
  footprint:
    kind: lines
    run: footprint
    x: experts
    of: nodes
    steps: true
    series: system
    published: {figures: ["13", Section VI], metric: nodes, across: nodes_from}
  ratios: {kind: ratios, series: system}
"""

PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
12a,latency,system=sn40l-node batch=8 tokens=20 experts=10,disputed,713.6,ms,5,"charges copies | even when all fit"
12a,latency,system=sn40l-node batch=8 tokens=20 experts=40,prediction,713.6,ms,5,digitised
12a,latency,system=sn40l-node batch=8 tokens=20 experts=100,prediction,713.6,ms,5,digitised
12a,latency,system=dgx-a100 batch=8 tokens=20 experts=100,prediction,4733,ms,5,digitised
12a,out_of_memory,system=dgx-a100 batch=8 tokens=20 experts=150,prediction,1,yes/no,0,X marker
12b,latency,system=sn40l-node batch=1 tokens=20 experts=10,calibration,133.5,ms,1,digitised
12b,switch_time,system=dgx-a100,prediction,437.8,ms,1,digitised
1a,switching,system=dgx-a100 batch=8 tokens=20 experts=100,prediction,3490,ms,5,digitised
1a,execution,system=dgx-a100 batch=8 tokens=20 experts=100,prediction,2000,ms,5,invented: wrong
Table V,speedup,system=sn40l-node baseline=dgx-a100 batch=8 tokens=20 experts=100,prediction,6.6,x,0.05,Table V
Table V,switch_speedup,system=sn40l-node baseline=dgx-a100,prediction,31,x,0.5,Table V
13,nodes_from,system=dgx-a100 nodes=2,prediction,50,experts,0,digitised
Section VI,nodes,system=sn40l-node experts=100,prediction,1,nodes,0,the text
"""


@pytest.fixture(scope="session")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder: Path = tmp_path_factory.mktemp("experiments") / "two-machines"
    folder.mkdir()
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


@pytest.fixture(scope="session")
def output(reproduction: Reproduction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report of the experiment."""
    folder = tmp_path_factory.mktemp("reports")
    write_page(reproduction, folder)
    return folder
