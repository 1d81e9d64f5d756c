"""A Ray cluster of two nodes on this machine; a line on standard input kills the second.

    python benchmarks/cluster_nodes.py CPUS_OF_EACH

Prints its address, and "killed". Ends when standard input does.
"""

import os
import sys

STORE = (
    100 * 2**20
)  # Bytes that a node shares between tasks; Ray would take a third of all.

if __name__ == "__main__":
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    os.environ.pop("PYTHONWARNINGS", None)
    from ray.cluster_utils import Cluster

    cpus = int(sys.argv[1])
    head = {"include_dashboard": False, "object_store_memory": STORE, "num_cpus": cpus}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=cpus, object_store_memory=STORE)
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)
        sys.stdin.read()
    cluster.shutdown()
