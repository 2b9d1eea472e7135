#!/bin/sh
# The large runs, on an idle machine: hours. Each step writes what it measured to FOLDER/*.txt.
#   benchmarks/scale/prove.sh FOLDER
set -eu
folder=$1
here=$(dirname "$0")
python=${PYTHON:-python}
mkdir -p "$folder"
measure() { # name, arguments of data.py
    name=$1; shift
    $python "$here/data.py" "$folder/$name" "$@"
    $python "$here/nodes.py" "$folder/$name" | tee "$folder/$name.txt"
}
measure n500 --problems 500
measure n2000 --problems 2000
measure n8000 --problems 8000
measure n16000 --problems 16000 --clusterer cheap_clusterer:Cheap
# A million short traces, and 54,000 traces of 40 kB.
measure short --problems 125000 --characters 200 --clusterer cheap_clusterer:Cheap
measure long --problems 6750 --characters 40000 --clusterer cheap_clusterer:Cheap
# Two cores over one, and Ray with two workers, on verify and cluster: stores are emptied, so that all is done.
for way in parallel.workers=1 parallel.workers=2 parallel.workers=2,parallel.ray.address=null; do
    rm -rf "$folder"/n500/data/scale/seed0/*/verdict_store "$folder"/n500/data/scale/seed0/*/strategy_store
    $python "$here/nodes.py" "$folder/n500" --nodes verify_traces,cluster_strategies -- "--params=$way" | tee "$folder/$way.txt"
done
# One teacher more: what its traces cost beside those of three, and alone.
$python "$here/data.py" "$folder/teachers" --problems 8000 --teachers 3
$python "$here/nodes.py" "$folder/teachers" | tee "$folder/three_teachers.txt"
$python "$here/data.py" "$folder/teachers" --problems 8000 --teachers 4
$python "$here/nodes.py" "$folder/teachers" | tee "$folder/fourth_teacher.txt"
# kill -9 at 20 points.
$python "$here/data.py" "$folder/kills" --problems 300
(cd "$folder/kills" && kedro run --env=scale --nodes=normalise_problems,remove_overlaps,generate_traces)
$python "$here/kills.py" "$folder/kills" --kills 20 | tee "$folder/kills.txt"
