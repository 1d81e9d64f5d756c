"""A Ray cluster of two nodes on this machine; a line on standard input kills the second.

    python benchmarks/cluster_nodes.py

Prints its address, and "killed". Ends when standard input does.
"""

import os
import sys

# Of each node. Ray would take a third of all memory for what tasks share.
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}

if __name__ == "__main__":
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    head = NODE | {"include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**NODE)
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(second, allow_graceful=False)
        print("killed", flush=True)
        sys.stdin.read()
    cluster.shutdown()
