"""What the words of a request name: the networks to train, and the teacher. All is checked before anything is written.

`subject` resolves the words. `adaptation` fits a preset to the images of the study, `timm_models` makes models of timm,
`preset_weights` puts timm's weights into the presets that timm has, too. `teachers` finds whose outputs are distilled.
"""
