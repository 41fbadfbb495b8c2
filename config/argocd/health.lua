-- Health of a wesley.dev Migration for Argo CD: resource.customizations.health.wesley.dev_Migration in argocd-cm.
-- Waiting for a person or a window is Suspended, not Progressing: nothing is wrong, and nothing happens by itself.
local function condition(kind)
  for _, candidate in ipairs((obj.status or {}).conditions or {}) do
    if candidate.type == kind then return candidate end
  end
end

if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "The operator has not looked at this generation yet" }
end

local stalled, reconciling, ready = condition("Stalled"), condition("Reconciling"), condition("Ready")
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.message }
end

local waits = { AwaitingApproval = true, AwaitingWindow = true, Observing = true, Suspended = true }
if waits[obj.status.phase] then
  return { status = "Suspended", message = ready ~= nil and ready.message or obj.status.phase }
end
if reconciling ~= nil and reconciling.status == "True" then
  return { status = "Progressing", message = reconciling.message }
end
if ready ~= nil and ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = ready ~= nil and ready.message or "No condition yet" }
