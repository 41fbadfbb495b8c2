-- Actions of a wesley.dev MigrationPlan for Argo CD: resource.customizations.actions.wesley.dev_MigrationPlan in
-- argocd-cm; see docs/control.md. Argo CD writes the status with its own account: it needs the role wesley-approver.
local approval = (obj.status or {}).approval
local decision = approval ~= nil and approval.decision or ""
return {
  approve = { disabled = decision == "Approved" },
  reject = { disabled = decision == "Rejected" },
}
