-- Approves the plan. Who clicked is in the audit log of Argo CD.
obj.status = obj.status or {}
obj.status.approval = { decision = "Approved", by = "argocd" }
return obj
