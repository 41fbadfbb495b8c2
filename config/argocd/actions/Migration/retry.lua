-- Tries again after a failure: any other value of the annotation does.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["wesley.dev/retry"] = tostring((obj.status or {}).runs or 0)
return obj
