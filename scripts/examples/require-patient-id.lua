-- Objects without a PatientID are refused, unless they come from a device we know.
-- The sender gets a failure status with a reference number; `hilum explain NUMBER` shows the reason.
hilum.on {
  event = "instance.received",
  phase = "filter",                 -- before it is stored: only here can it be refused
  name = "require-patient-id",
  run = function(ev)
    if not ev:has("PatientID") and not hilum.peers[ev.calling_aet] then
      return hilum.reject("PatientID is empty and %s is not a registered device", ev.calling_aet)
    end
  end,                              -- nothing returned: this rule has no objection
}
