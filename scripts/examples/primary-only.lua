-- The AI node wants original images of thin series: no secondary captures, no reformats, no scouts.
hilum.on {
  event = "instance.stored",
  name = "primary-only",
  where = "Modality=CT; ImageType~ORIGINAL*PRIMARY*",
  run = function(ev)
    local thickness = tonumber(ev.SliceThickness or "")
    local is_scout = (ev.ImageType or ""):find("LOCALIZER", 1, true)
    if not is_scout and thickness and thickness <= 1.5 then
      ev:send("AI_LUNG")
    end
  end,
}
