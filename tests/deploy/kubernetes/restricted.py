"""The restricted profile of the Pod Security Standards, and what is demanded here beyond it."""

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(pod_spec):
    """Every way in which a pod breaks the rules; empty when it keeps them."""
    found = list(of_pod(pod_spec))
    every = pod_spec.get("initContainers", []) + pod_spec["containers"]
    for container in every + pod_spec.get("ephemeralContainers", []):
        name = container["name"]
        found += [f"{name}: {what}" for what in of_container(container, pod_spec)]
    return found


def of_pod(pod_spec):
    for host in ("hostNetwork", "hostPID", "hostIPC"):
        if pod_spec.get(host):
            yield host
    for volume in pod_spec.get("volumes", []):
        if not VOLUMES.issuperset(volume.keys() - {"name"}):
            yield f"volume {volume['name']} of a forbidden type"
    if pod_spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls"
    # Beyond the profile: nothing here talks to the Kubernetes API, and the addresses of services
    # would arrive as unknown settings.
    if pod_spec.get("automountServiceAccountToken") is not False:
        yield "service account token"
    for volume in pod_spec.get("volumes", []):
        for source in volume.get("projected", {}).get("sources", []):
            if "serviceAccountToken" in source:
                yield "service account token"
    if pod_spec.get("enableServiceLinks") is not False:
        yield "service links"


def of_container(container, pod_spec):
    own = container.get("securityContext", {})
    # What a container leaves out, the pod decides; the rest exists on containers only.
    effective = {**pod_spec.get("securityContext", {}), **own}
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser") == 0:
        yield "may run as root"
    if effective.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "privilege escalation"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "capabilities"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "host port"
    # Beyond the profile.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "root file system can be written"
    resources = container.get("resources", {})
    if not {"cpu", "memory"}.issubset(resources.get("requests", {})):
        yield "no requests"
    if "memory" not in resources.get("limits", {}):
        yield "no limit on memory"
