"""What peers.py measured, as Markdown tables and a picture."""

import layers


def ratio(row, name="linnet"):
    """Own time over that of the best other; None where one of them is missing."""
    others = [t for engine, t in row.items() if engine != name]
    return row[name] / min(others) if name in row and others else None


def line(cells):
    return "| " + " | ".join(cells) + " |\n"


def model_table(results):
    text = line(["model", "engine", "min ms", "x best other", "median ms", "x best other", "load ms",
                 "first run ms", "peak MB"])
    text += line(["---"] * 2 + ["--:"] * 7)
    for model in results:
        for r in sorted(model["engines"], key=lambda r: r["median_ms"]):
            text += line([model["model"], r["engine"], f"{r['min_ms']:.3f}", f"{r['min_ratio']:.2f}",
                          f"{r['median_ms']:.3f}", f"{r['median_ratio']:.2f}", f"{r['load_ms']:.1f}",
                          f"{r['first_ms']:.2f}", f"{r['peak_mb'] or 0:.0f}"])
    return text


def layer_table(results):
    rows = list(layers.rows(results))
    engines = sorted({e for _, row in rows for e in row}, key=lambda e: (e != "linnet", e))
    text = line(["layer", *(f"{e} µs" for e in engines), "GFLOP/s", "x best other"])
    text += line(["---"] + ["--:"] * (len(engines) + 2))
    for name, row in rows:
        own, times = row.get("linnet"), ratio(row)
        text += line([name, *(f"{row[e]:.1f}" if e in row else "" for e in engines),
                      f"{layers.gflop(name) / own * 1e6:.1f}" if own else "",
                      f"{times:.2f}" if times else ""])
    return text


def picture(groups, path, title):
    """Bars of time over that of linnet, per model or layer; without matplotlib there is none."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    groups = [(name, row) for name, row in groups if "linnet" in row]
    engines = sorted({e for _, row in groups for e in row}, key=lambda e: (e != "linnet", e))
    if not groups:
        return False
    figure, axes = plt.subplots(figsize=(max(6.0, 1.1 * len(groups)), 3.6))
    width = 0.8 / len(engines)
    for i, engine in enumerate(engines):
        at = [k + i * width for k, (_, row) in enumerate(groups) if engine in row]
        axes.bar(at, [row[engine] / row["linnet"] for _, row in groups if engine in row], width,
                 label=engine)
    axes.set_xticks([k + 0.4 - width / 2 for k in range(len(groups))], [name for name, _ in groups],
                    rotation=30, ha="right")
    axes.set_ylim(0, min(4.0, axes.get_ylim()[1]))
    axes.set_ylabel("time / time of linnet")
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_title(title)
    axes.legend(ncols=len(engines), fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def write(results, folder, name, head, is_layers):
    """FOLDER/NAME.md and, where there is matplotlib, FOLDER/NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    if is_layers:
        groups = list(layers.rows(results))
    else:
        groups = [(m["model"], {r["engine"]: r["min_ms"] for r in m["engines"]}) for m in results]
    drawn = picture(groups, folder / f"{name}.png", head.split("\n")[0])
    text = f"{head}\n\n{layer_table(results) if is_layers else model_table(results)}"
    (folder / f"{name}.md").write_text(text + (f"\n![]({name}.png)\n" if drawn else ""))
    print(f"{folder / name}.md{' and .png' if drawn else ''}")
