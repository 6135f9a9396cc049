-- Devices of a second site do not know their hospital's name: fill it in where it is missing.
-- What the object said before is kept (Original Attributes Sequence) and shown by `hilum study explain`.
hilum.on {
  event = "instance.received",
  phase = "transform",              -- after the filters, before it is stored: only here may it be edited
  name = "institution-name",
  where = "calling_aet~SOUTH_*",
  run = function(ev)
    if not ev:has("InstitutionName") then
      ev:set("InstitutionName", "Southern Clinic")
    end
  end,
}
