#!/usr/bin/env python3
"""How well does a calibration set cover the kernels of all models? The figures behind the roles.

    python judge_coverage.py --derate build/release/bin/derate [--set NAME,NAME,...]

Asks `derate inspect --json` for the subgraphs of every model of the catalogue at batch 1 and prints
Markdown: for each operation type the families it comes from, for each model how far its kernels are from the
nearest ones of the set, and which exchange of one model would shorten that most.

A kernel is a point: decimal logarithms of its FLOPs and of its input, weight and output bytes. The distance
of two kernels of one type is the root mean square difference of the four; of different types 3, which is also
the largest distance counted. FLOP-free kernels are a type of their own. A model's distance is the mean over its
kernels, weighted by a rough time each (2 us + FLOPs / 80 GFLOP/s + bytes / 20 GB/s). "Own family left out"
takes only kernels of other families.

The score to be small: mean distance of the models outside the set + mean distance of all models with their own
family left out + 0.01 for each 300 ms that one pass over the set takes by the rough time. resnet18, resnet50,
vgg16, mobilenet_v2 and vit_b_16 are always in the set; efficientnet_b0, efficientnet_b1, maxvit_t and the models
with role `extra` never.

Environment: requirements.txt.
"""

import argparse
import collections
import json
import pathlib
import statistics
import subprocess

import numpy

FOLDER = pathlib.Path(__file__).resolve().parent
ALWAYS = {"resnet18", "resnet50", "vgg16", "mobilenet_v2", "vit_b_16"}
NEVER = {"efficientnet_b0", "efficientnet_b1", "maxvit_t"}
LARGEST_DISTANCE = 3.0


class Kernels:
    """The kernels of one model: type, point and rough time of each."""

    def __init__(self, inspection: dict):
        self.types: list[str] = []
        points, times = [], []
        for subgraph in inspection["subgraphs"]:
            if subgraph["operation_type"] == "meta":
                continue
            flops, traffic = subgraph["flops"], subgraph["bytes"]
            self.types.append(subgraph["operation_type"] + ("" if flops else " without FLOPs"))
            points.append(
                [max(flops, 1), traffic["input"] + 1, traffic["weights"] + 1e3, traffic["output"] + 1]
            )
            times.append(2e-6 + flops / 80e9 + sum(traffic.values()) / 20e9)
        self.points = numpy.log10(numpy.array(points))
        self.times = numpy.array(times)

    def distances_to(self, others: "Kernels") -> numpy.ndarray:
        result = numpy.full(len(self.types), LARGEST_DISTANCE)
        of_type = collections.defaultdict(list)
        for index, kind in enumerate(others.types):
            of_type[kind].append(index)
        for index, kind in enumerate(self.types):
            if kind in of_type:
                difference = others.points[of_type[kind]] - self.points[index]
                nearest = numpy.sqrt((difference**2).mean(axis=1)).min()
                result[index] = min(nearest, LARGEST_DISTANCE)
        return result


class Coverage:
    def __init__(self, models: dict[str, Kernels], families: dict[str, str]):
        self.models, self.families = models, families
        self.names = list(models)
        self.distances = {
            name: {other: kernels.distances_to(models[other]) for other in models}
            for name, kernels in models.items()
        }

    def of_model(self, name: str, chosen: list[str]) -> float:
        nearest = numpy.min([self.distances[name][other] for other in chosen], axis=0)
        return float(numpy.average(nearest, weights=self.models[name].times))

    def without_family(self, name: str, chosen: list[str]) -> float:
        family = self.families[name]
        return self.of_model(name, [x for x in chosen if self.families[x] != family])

    def seconds(self, chosen: list[str]) -> float:
        return sum(float(self.models[name].times.sum()) for name in chosen)

    def score(self, chosen: list[str]) -> float:
        outside = [self.of_model(name, chosen) for name in self.names if name not in chosen]
        left_out = [self.without_family(name, chosen) for name in self.names]
        penalty = 0.01 * self.seconds(chosen) / 0.3
        return statistics.mean(outside) + statistics.mean(left_out) + penalty


def print_report(coverage: Coverage, chosen: list[str], barred: set[str]) -> None:
    families_of = collections.defaultdict(lambda: (set(), set()))
    for name, kernels in coverage.models.items():
        for kind in kernels.types:
            families_of[kind][name not in chosen].add(coverage.families[name])
    print("| type | families in the set | families outside it |\n|---|---|---:|")
    for kind, (inside, outside) in sorted(families_of.items()):
        print(f"| {kind} | {', '.join(sorted(inside)) or '-'} | {len(outside)} |")

    print("\n| model | distance | own family left out |\n|---|---:|---:|")
    for name in coverage.names:
        distance = "in the set" if name in chosen else f"{coverage.of_model(name, chosen):.2f}"
        print(f"| `{name}` | {distance} | {coverage.without_family(name, chosen):.2f} |")

    score = coverage.score(chosen)
    print(f"\nScore {score:.3f}, one pass over the set {coverage.seconds(chosen):.1f} s by the rough time.")
    exchanges = [
        (coverage.score([x for x in chosen if x != old] + [new]), old, new)
        for old in chosen
        if old not in ALWAYS
        for new in coverage.names
        if new not in chosen and new not in barred
    ]
    print("Best exchanges of one model:")
    for exchanged, old, new in sorted(exchanges)[:5]:
        print(f"  {old} for {new}: {exchanged:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--derate", default="build/release/bin/derate", help="the built program")
    parser.add_argument("--set", help="comma-separated names (default: the catalogue's)")
    arguments = parser.parse_args()

    catalogue = json.loads((FOLDER / "catalogue.json").read_text())
    models = {}
    for entry in catalogue:
        command = [arguments.derate, "inspect", "--model", entry["name"], "--json"]
        output = subprocess.run(command, check=True, capture_output=True).stdout
        models[entry["name"]] = Kernels(json.loads(output))
    coverage = Coverage(models, {entry["name"]: entry["family"] for entry in catalogue})

    by_role = [entry["name"] for entry in catalogue if entry["role"] == "calibration"]
    chosen = arguments.set.split(",") if arguments.set else by_role
    if unknown := sorted(set(chosen) - set(models)):
        parser.error(f"no such model: {', '.join(unknown)}")
    extra = {entry["name"] for entry in catalogue if entry["role"] == "extra"}
    print_report(coverage, chosen, NEVER | extra)


if __name__ == "__main__":
    main()
