-- Asks for the rollback of the plan that was executed.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["wesley.dev/rollback"] = obj.status.plan.digest
return obj
