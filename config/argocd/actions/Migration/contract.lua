-- Lets the contract steps run: the point of no return.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["wesley.dev/contract"] = obj.status.plan.digest
return obj
