#!/usr/bin/env python3
"""Writes the inputs that fuzzing starts from: what the project ships and tests with, cut to a few
kilobytes. Usage: make_corpus.py SOURCE_DIR FOLDER; FOLDER gets a folder a reader.
"""
import gzip
import json
import pathlib
import shutil
import sys
import zipfile

SOURCE, FOLDER = map(pathlib.Path, sys.argv[1:3])
XEON = SOURCE / "hardware_registry/cpu/kvm-intel-xeon-2c"


def write(reader, name, content):
    folder = FOLDER / reader
    folder.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)


def small_evidence():
    evidence = json.loads(gzip.decompress((XEON / "evidence/efficiency_curves.json.gz").read_bytes()))
    model = min((m for m in evidence["models"] if m["cases"]), key=lambda m: len(m["cases"]))
    kept = sorted(set(model["cases"][:4]))
    evidence["cases"] = [evidence["cases"][index] for index in kept]
    for case in evidence["cases"]:
        if case["timing"]:
            case["timing"]["launches"] = case["timing"]["launches"][:2]
    model["cases"] = [kept.index(index) for index in model["cases"] if index in kept]
    evidence["models"] = [model]
    return evidence


def small_calibration():
    calibration = json.loads((XEON / "efficiency_curves.json").read_text())
    curves = calibration["efficiency_curves"]
    calibration["efficiency_curves"] = {name: curves[name] for name in list(curves)[:2]}
    calibration["parent_curves"] = {}
    return calibration


def members(archive):
    """The members of a zip in the form of fuzz_readers' export_members."""
    data = b""
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            content = opened.read(name)
            data += bytes([len(name)]) + name.encode() + len(content).to_bytes(4, "little") + content
    return data


def main():
    evidence = small_evidence()
    write("evidence", "small.json", json.dumps(evidence))
    for index, case in enumerate(evidence["cases"]):
        if case["subgraph"].get("descriptor"):
            write("descriptor", f"{index}.txt", case["subgraph"]["descriptor"])
    write("calibration", "small.json", json.dumps(small_calibration()))
    write("calibration", "legacy.json",
          (SOURCE / "hardware_registry/gpu/jetson_orin_agx/efficiency_curves.json").read_bytes())
    write("hardware", "xeon.json", (XEON / "hardware.json").read_bytes())
    write("gzip", "text.gz", gzip.compress(b"derate " * 40, mtime=0))
    for archive in sorted((SOURCE / "workloads/testdata").glob("*.pt2")):
        write("export_archive", archive.name, archive.read_bytes())
        write("export_members", archive.stem, members(archive))
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                if name.endswith("models/model.json") or name.endswith("exported_program.json"):
                    write("export_json", archive.stem + ".json", opened.read(name))
                if name.endswith(".pt"):
                    inner = zipfile.ZipFile(opened.open(name))
                    for entry in inner.namelist():
                        if entry.endswith("data.pkl"):
                            write("pickle", archive.stem + name.replace("/", "_"), inner.read(entry))
    for file in sorted((SOURCE / "storage/testdata/google_benchmark").glob("*.json")):
        write("google_benchmark", file.name, file.read_bytes())
    shutil.copytree(SOURCE / "ctest/fuzz/corpus", FOLDER, dirs_exist_ok=True)


main()
