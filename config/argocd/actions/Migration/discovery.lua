-- Actions of a wesley.dev Migration for Argo CD: resource.customizations.actions.wesley.dev_Migration in argocd-cm.
-- They write annotations only, which no Application compares: nothing drifts from Git.
local status = obj.status or {}
local rollback = status.rollback or {}
return {
  retry = { disabled = status.phase ~= "Failed" },
  rollback = { disabled = not rollback.ready },
  contract = { disabled = status.phase ~= "Observing" },
}
